import ArgumentParser
import RouteGrad

struct AssessCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "assess",
    abstract: "Bias and variance of an estimator of your own, from its samples or outcomes.",
    discussion: """
      Samples are a NumPy array .npy or .npz [samples, experts], CSV, or JSON lines {"gradient": [..]}; JSON lines with \
      "probability" are outcomes, all that can happen, and what is said of them is exact. Samples are read to the end, and \
      what they leave open is said by intervals.
      """)

  @OptionGroup var input: SampleArguments

  @Option(help: ArgumentHelp("What the samples are held against.", valueName: "id"))
  var target: GradientTarget = .expectedLoss

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How many experts a sample draws without replacement, 1 or 2: two have an expected loss of their own.",
      valueName: "k"))
  var draws = 1

  @Option(
    help: ArgumentHelp(
      """
      Hold samples against the expected loss of what this estimator draws, such as the subsets of simple:k=2, in place of \
      --draws.
      """, valueName: "e"), completion: .list(Completion.estimators))
  var drawsOf: String?

  @Option(
    help: ArgumentHelp(
      """
      Estimators to stand beside the samples, such as reinmax,reinforce:baseline=optimal, or 'all'; see 'routegrad \
      estimators'. (default: none)
      """, valueName: "a,b"), completion: .list(["all"] + Completion.estimators))
  var estimators: String?

  @OptionGroup var maskOptions: MaskOptions

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The confidence of each interval, from 0.5 to 0.999.", valueName: "c"))
  var confidence = SampleAssessment.Options.standardConfidence

  @Option(parsing: .unconditional, help: ArgumentHelp("The seed of the bootstrap, from 0 to 2^64 - 1.", valueName: "n"))
  var seed: UInt64 = 0

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Read no more than this many samples, at least 2. (default: all)", valueName: "n"))
  var maxSamples: Int?

  @OptionGroup var output: OutputOptions
  @OptionGroup var page: PageOption
  @OptionGroup var plot: PlotOption
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    try page.validate(against: output.output, "--output")
    try plot.validate(against: (output.output, "--output"), (page.html, "--html"))
    try SampleAssessment.Options.confidenceLimit.validate("--confidence", confidence)
    try SampleAssessment.Options.drawsLimit.validate("--draws", draws)
    if drawsOf != nil, draws != 1 { throw ValidationError("'--draws' and '--draws-of' say the same") }
    try Limit("at least 2") { $0 >= 2 }.validate("--max-samples", maxSamples)
  }

  func run() throws {
    let selection = try Report.Selection(list: estimators) ?? .listed([])
    let drawing = try drawsOf.map { try EstimatorRegistry.estimator($0).claims }
    let filed = try input.filed()
    let progress = ProgressLine(isShown: !runOptions.quiet)
    // What can be refused is, before samples are waited for.
    let report = try Report(
      on: [filed],
      options: Report.Options(
        estimators: selection, mask: maskOptions.mask, assessment: AssessmentOptions(target: target),
        threads: runOptions.threadCount))
    let beside = report.problems[0]
    let gradient = try SampleAssessment.gradient(
      of: target, draws: drawing?.draws ?? draws, subsets: drawing?.subsets, on: beside.routed, location: filed.location
    )
    let name = input.name
    let stream = try input.stream(coordinates: beside.routed.experts)
    let destination = try Output(path: output.output)
    let pageFile = try page.begin()
    let picture = try plot.begin()
    let assessment: SampleAssessment
    do {
      defer { progress.clear() }
      assessment = try SampleAssessment(
        from: stream, name: name, against: target, gradient: gradient, atMost: maxSamples ?? .max,
        options: .init(confidence: confidence, seed: seed, threads: runOptions.threadCount),
        onSamples: { progress.show("\($0) samples") })
    }
    let words = AssessmentReport(assessment, beside: beside, source: name, format: stream.format.rawValue)
    try pageFile?.finish(words.page.text)
    try destination.finish(words.rendered(as: output.format, style: output.style))
    try picture?.finish(words.page)
  }
}
