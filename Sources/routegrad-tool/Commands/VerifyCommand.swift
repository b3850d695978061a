import ArgumentParser
import CStandardLibrary
import RouteGrad

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "A verdict, with stated error rates, on gradient samples that another program made.",
    discussion: """
      Samples are a NumPy array .npy or .npz [samples, experts], CSV, or JSON lines {"gradient": [..], \
      "choice": [..], "coins": [..]}, of which choice and coins may be left out; with "probability" they are \
      outcomes, as 'routegrad outcomes' writes them. They are read as a stream, and no further than needed.

      Exit status: 0 proved or consistent, 1 refuted, 2 undecided.
      """)

  @OptionGroup var input: SampleArguments

  @Option(
    help: ArgumentHelp(
      "The estimator that the samples should be of, such as reinmax:tau=1.3; see 'routegrad estimators'.",
      valueName: "e"), completion: .list(Completion.estimators))
  var estimator: String?

  @Option(
    help: ArgumentHelp(
      "Without an estimator: the gradient that the samples' mean should be. (default: expected-loss)", valueName: "id"))
  var target: GradientTarget?

  @OptionGroup var verification: VerificationOptions
  @OptionGroup var maskOptions: MaskOptions

  @Option(help: "The format of the result.")
  var format: VerdictFormat = .text

  @OptionGroup var page: PageOption
  @OptionGroup var plot: PlotOption
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    try plot.validate(against: (page.html, "--html"))
    if estimator != nil {
      if target != nil {
        throw ValidationError("'--target' does not go with '--estimator', which has a mean of its own")
      }
      if verification.bounds != nil {
        throw ValidationError("'--bounds' does not go with '--estimator', whose samples have bounds of their own")
      }
    } else if verification.bounds == nil {
      throw ValidationError("without '--estimator' expected '--bounds lo,hi', between which all samples lie")
    }
  }

  func run() throws {
    let estimator = try estimator.map { try EstimatorRegistry.estimator($0) }
    let filed = try input.filed()
    let routed = try FiledProblem.route([filed], mask: maskOptions.mask).problems[0]
    let claim = try claim(estimator, on: routed, location: filed.location)
    let name = input.name
    let stream = try input.stream(coordinates: routed.experts)
    let pageFile = try page.begin()
    let drawing = try plot.begin()
    let progress = ProgressLine(isShown: !runOptions.quiet)
    let evidence: Evidence
    do {
      defer { progress.clear() }
      evidence = try Verification.evidence(
        from: stream, name: name, claim: claim, criteria: verification.criteria,
        budget: verification.maxSamples ?? .max, onSamples: { progress.show("\($0) samples") })
    }
    let report = VerdictReport(evidence, on: filed, mask: routed.mask, stream: stream, source: name)
    try pageFile?.finish(report.page.text)
    switch format {
    case .text: try Output.standard.write(report.text(style: Terminal.style))
    case .json: try Output.standard.write(report.json)
    }
    try drawing?.finish(report.page)
    CStandardLibrary.exit(ExitStatus(evidence.verdict).rawValue)
  }

  private func claim(
    _ estimator: (any GradientEstimator)?, on problem: RoutedProblem, location: String
  ) throws(Refusal) -> Claim {
    let subject = estimator?.specification ?? (target ?? .expectedLoss).rawValue
    do throws(AssessmentError) {
      if let estimator { return try Claim(estimator, on: problem, threads: runOptions.threadCount) }
      guard let range = verification.bounds?.range else {
        throw .unavailable(Unavailable("needs the samples' bounds"))
      }
      return try Claim(target ?? .expectedLoss, on: problem, samplesIn: range)
    } catch {
      // A target is defined for a kind of problem and lies within the samples' bounds, or too much was asked for.
      if estimator == nil, case .unavailable = error {
        throw Refusal(.wrongUsage, "\(location): \(subject): \(error)")
      }
      throw Refusal(.wrongData, "\(location): \(subject): \(error)")
    }
  }
}
