import ArgumentParser
import RouteGrad
import RouteGradTraining

struct TrainMixtureRegressionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mixture-regression",
    abstract: "The default task of 'routegrad compare': eight teachers, one for each cell of the inputs.")

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The share of the target's variance that a teacher of all cells has.", valueName: "s"))
  var shared = 0.75

  @OptionGroup var mixture: MixtureOptions
  @OptionGroup var training: TrainingOptions
  @OptionGroup var runOptions: RunOptions

  func run() throws {
    var settings = mixture.settings(.regression)
    settings.shared = shared
    try TrainingSession.begin(settings, training, runOptions, plan: TrainingPlan(steps: 800))
  }
}

struct TrainMixtureClassificationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mixture-classification",
    abstract: "The same inputs; the label is the largest output of the cell's teacher.")

  @OptionGroup var mixture: MixtureOptions
  @OptionGroup var training: TrainingOptions
  @OptionGroup var runOptions: RunOptions

  func run() throws {
    try TrainingSession.begin(
      mixture.settings(.classification), training, runOptions, plan: TrainingPlan(steps: 600))
  }
}

/// The weights of a router's auxiliary losses.
struct AuxiliaryOptions: ParsableArguments {
  @Option(parsing: .unconditional, help: ArgumentHelp("The weight of the load-balancing loss.", valueName: "alpha"))
  var loadBalance = 0.01

  @Option(parsing: .unconditional, help: ArgumentHelp("The weight of the router z-loss.", valueName: "beta"))
  var zLoss = 0.0

  var weights: AuxiliaryWeights { AuxiliaryWeights(loadBalance: loadBalance, zLoss: zLoss) }
}

/// The sizes of a mixture model.
struct MixtureOptions: ParsableArguments {
  @Option(parsing: .unconditional, help: ArgumentHelp("The tokens of a step.", valueName: "n"))
  var batch = 256

  @Option(parsing: .unconditional, help: ArgumentHelp("The number of experts.", valueName: "n"))
  var experts = 8

  @OptionGroup var auxiliary: AuxiliaryOptions

  func settings(_ kind: MixtureTask.Kind) -> MixtureSettings {
    var settings = MixtureSettings()
    settings.kind = kind
    settings.batch = batch
    settings.experts = experts
    settings.auxiliary = auxiliary.weights
    return settings
  }
}

extension TrainingPlan {
  /// The plan of the default task, of another length.
  init(steps: Int) {
    self.init()
    self.steps = steps
  }
}
