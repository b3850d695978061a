import ArgumentParser
import RouteGrad

struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Bias and variance of every estimator against the exact gradient.")

  @OptionGroup var input: ProblemArguments

  @Option(
    help: ArgumentHelp(
      """
      Estimators to report, such as reinmax,reinforce:baseline=optimal, or 'all'; see 'routegrad \
      estimators'. (default: every one whose outcomes can be enumerated)
      """, valueName: "a,b"), completion: .list(["all"] + Completion.estimators))
  var estimators: String?

  @OptionGroup var maskOptions: MaskOptions

  @Option(help: ArgumentHelp("What estimators are held against.", valueName: "id"))
  var target: GradientTarget = .expectedLoss

  @Flag(help: "Add the covariance matrices to JSON.")
  var covariance = false

  @OptionGroup var samplingOptions: SamplingOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    if covariance, output.format != .json {
      throw ValidationError("'--covariance' goes with '--format json'")
    }
  }

  func run() throws {
    let options = Report.Options(
      estimators: try selection, space: maskOptions.space,
      assessment: AssessmentOptions(
        target: target, covariance: covariance, sampling: samplingOptions.sampling,
        integration: samplingOptions.integration),
      ownTargets: output.format == .table || output.format == .markdown, threads: runOptions.threadCount)
    let problems = try input.problems(otherwise: ShippedProblems.all)
    let destination = try Output(path: output.output)
    let progress = Progress(total: problems.count, isShown: !runOptions.quiet)
    let report: Report
    do {
      defer { progress.clear() }
      report = try Report(on: problems, options: options, onAdvance: progress.advance)
    }
    try destination.finish(report.rendered(as: output.format, style: output.style))
    if let note = report.note, !runOptions.quiet { Terminal.complain("routegrad: note: \(note)") }
  }

  private var selection: Report.Selection {
    get throws {
      switch estimators {
      case nil: .enumerable
      case "all": .all
      case .some(let list): .listed(try EstimatorRegistry.estimators(list: list))
      }
    }
  }
}

extension GradientTarget: ExpressibleByArgument {}
