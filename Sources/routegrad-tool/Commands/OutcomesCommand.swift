import ArgumentParser
import RouteGrad

struct OutcomesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "outcomes",
    abstract: "Every outcome of one estimator, with probability and gradient, as JSON lines.")

  @Argument(help: "A file of problems; '-' is standard input.", completion: .file(extensions: ["json"]))
  var file: String

  @Option(
    help: ArgumentHelp("The estimator, such as reinmax:tau=1.3; see 'routegrad estimators'.", valueName: "e"),
    completion: .list(Completion.estimators))
  var estimator: String

  @Option(help: ArgumentHelp("The problem's name, if the file holds several.", valueName: "name"))
  var problem: String?

  @OptionGroup var maskOptions: MaskOptions
  @OptionGroup var runOptions: RunOptions

  func run() throws {
    let estimator = try EstimatorRegistry.estimator(estimator)
    let filed = try Input.problem(in: file, named: problem, option: "--problem")
    let routed = try FiledProblem.route([filed], mask: maskOptions.mask).problems[0]
    let lines = try OutcomeLines(of: estimator, on: routed, location: filed.location)
    for start in stride(from: 0, to: lines.count, by: Self.linesAtOnce) {
      try Output.standard.write(lines.text(start..<min(start + Self.linesAtOnce, lines.count)))
    }
  }

  private static let linesAtOnce = 1024
}
