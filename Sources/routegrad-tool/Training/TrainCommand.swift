import ArgumentParser
import RouteGrad
import RouteGradTraining

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a model with a router, into a folder; stopped at any moment, it goes on to the same bytes.",
    discussion: """
      The folder holds manifest.json (all settings), metrics.jsonl (a line for every evaluation) and the last two \
      checkpoints. An interrupt (Ctrl-C) finishes the step, saves, and says how to go on; a second one does not wait.
      """,
    subcommands: [
      TrainMixtureRegressionCommand.self, TrainMixtureClassificationCommand.self, TrainLanguageModelCommand.self,
      TrainTranslationCommand.self, TrainResumeCommand.self,
    ])
}

struct TrainResumeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Go on with a run from its last checkpoint.")

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "folder"), completion: .directory)
  var folder: String

  @Flag(help: "Go on from the checkpoint before the last one, and give the last one up.")
  var previous = false

  @OptionGroup var runOptions: RunOptions

  func run() throws {
    try TrainingSession.run(Trainer(RunFolder(opening: folder), previous: previous), runOptions)
  }
}
