import ArgumentParser
import RouteGrad
import RouteGradTraining

struct RouteGradCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "routegrad",
    abstract: "Exact bias and variance of the gradient estimators that sparse routers are trained with.",
    discussion: """
      Start with 'routegrad report': it needs no input.

      Exit status: 0 done, 1 refuted, 2 undecided, 64 wrong usage, 65 wrong data, 66 an input cannot be \
      opened, 73 an output cannot be written, 129, 130 or 143 ended by a signal.
      """,
    version: routeGradVersion,
    subcommands: [
      ReportCommand.self, OutcomesCommand.self, OrderCommand.self, AssessCommand.self, VerifyCommand.self,
      AuditLayerCommand.self, EstimatorsCommand.self, RoutersCommand.self, VectorsCommand.self, LintCommand.self,
      TrainCommand.self, CompareCommand.self, TranslateCommand.self,
    ])

  /// What `--version --verbose` prints: the libraries that were found when the program started, too.
  static var verboseVersion: String {
    [
      "routegrad \(routeGradVersion)", "matrix products, Float32: \(MatrixLibrary.float)",
      "matrix products, Float64: \(MatrixLibrary.double)",
    ].flatMap(\.wrapped).map { $0 + "\n" }.joined()
  }

  /// Throws if the first argument is neither a command nor an option; the parser would call it unexpected,
  /// and no more.
  static func requireKnownCommand(_ arguments: [String]) throws {
    let known = configuration.subcommands.map { $0._commandName }
    if let first = arguments.first, !first.hasPrefix("-"), !(known + ["help"]).contains(first) {
      throw ValidationError("unknown command '\(first)'; expected \(known.joined(separator: ", "))")
    }
  }
}
