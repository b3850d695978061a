import ArgumentParser
import RouteGrad

struct OrderCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "order",
    abstract: "Measured next to theoretical order of accuracy of every rule and estimator.",
    discussion: "Without a file: the shipped problems whose losses are smooth and no polynomials.")

  @OptionGroup var input: ProblemArguments
  @OptionGroup var maskOptions: MaskOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var runOptions: RunOptions

  func run() throws {
    let problems = try input.problems(otherwise: ShippedProblems.smooth)
    let destination = try Output(path: output.output)
    let report = try OrderReport(on: problems, mask: maskOptions.mask, threads: runOptions.threadCount)
    try destination.finish(report.rendered(as: output.format, style: output.style))
    if let note = report.note, !runOptions.quiet { Terminal.complain("routegrad: note: \(note)") }
  }
}
