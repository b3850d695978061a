import ArgumentParser
import RouteGrad
import Synchronization

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

  @Flag(help: "In a table of many problems, print each one's after the summary.")
  var details = false

  @OptionGroup var samplingOptions: SamplingOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var page: PageOption
  @OptionGroup var plot: PlotOption
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    try page.validate(against: output.output, "--output")
    try plot.validate(against: (output.output, "--output"), (page.html, "--html"))
    if covariance, output.format != .json {
      throw ValidationError("'--covariance' goes with '--format json'")
    }
    if details, output.format != .table {
      throw ValidationError("'--details' goes with '--format table'; the other formats have them all")
    }
  }

  func run() throws {
    let options = Report.Options(
      estimators: try Report.Selection(list: estimators) ?? .enumerable, mask: maskOptions.mask,
      assessment: AssessmentOptions(
        target: target, covariance: covariance, sampling: samplingOptions.sampling,
        integration: samplingOptions.integration),
      ownTargets: [.table, .markdown, .latex].contains(output.format) || page.html != nil,
      threads: runOptions.threadCount)
    let source = try input.source(otherwise: ShippedProblems.all)
    let destination = try Output(path: output.output)
    let pageFile = try page.begin()
    let drawing = try plot.begin()
    let progress = ProgressLine(isShown: !runOptions.quiet)
    let total = Atomic(1)
    let done = Mutex(0.0)
    var writer: ReportWriter?
    var page: ReportPage?
    var note: String?
    // Refusals leave nothing behind, so that what can be held is held back until the end.
    var held = ""
    func write(_ text: String) throws {
      held += text
      guard held.utf8.count > Self.mostHeld else { return }
      try destination.write(held)
      held = ""
    }
    do {
      defer { progress.clear() }
      try Report.stream(source, options: options) { share in
        let total = total.load(ordering: .relaxed)
        let done = done.withLock { sum in
          sum += share
          return sum
        }
        let percent = Int(100 * min(done / Double(total), 1))
        progress.show("\(percent) % of \(total) problem\(total == 1 ? "" : "s")")
      } begin: { count, said in
        note = said
        total.store(max(count, 1), ordering: .relaxed)
        let begun = ReportWriter(
          options, as: output.format, layout: .init(details: details), style: output.style, count: count, note: said)
        writer = begun
        if pageFile != nil || drawing != nil { page = try ReportPage(options, title: title, count: count, note: said) }
        try write(begun.beginning)
      } write: { problem in
        page?.add(problem)
        try write(writer?.text(of: problem) ?? "")
      }
    }
    let made = page?.page()
    if let made { try pageFile?.finish(made.text) }
    try destination.finish(held + (writer?.ending() ?? ""))
    if let made { try drawing?.finish(made) }
    if let note, !runOptions.quiet { Terminal.complain("routegrad: note: \(note)") }
  }

  private var title: String {
    let names = input.files.map(Input.name(of:))
    return names.isEmpty
      ? "Report on the problems that come with the program" : "Report on " + names.joined(separator: ", ")
  }

  /// More than this is written before the report is complete.
  private static let mostHeld = 1 << 22
}

extension GradientTarget: ExpressibleByArgument {}
