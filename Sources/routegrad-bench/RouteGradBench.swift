import ArgumentParser

/// Workloads defined bit for bit, so that other programs can be measured doing the same work.
@main
struct RouteGradBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "routegrad-bench",
    abstract: "Measures RouteGrad on fixed workloads, alone or in turn with another program.",
    discussion: """
      Every workload prints one JSON line: units per second, threads, timing, and a checksum that another
      implementation of the same workload must reproduce. Figures are comparable within one run only.
      """,
    subcommands: [
      ExactMomentsCommand.self, MCGumbelCommand.self, GumbelIntegralCommand.self, SwitchLayerCommand.self,
      SwitchTransformerCommand.self, VerifierRatesCommand.self, VerifyStreamCommand.self, FuzzCommand.self,
      AssessCoverageCommand.self, LintMistakesCommand.self,
      FuzzRouterCommand.self,
    ])
}
