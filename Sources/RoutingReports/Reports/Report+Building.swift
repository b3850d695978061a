import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension Report {
  /// Reports on problems.
  ///
  /// - Parameters:
  ///   - problems: in the order in which they are reported.
  ///   - options: what to report.
  ///   - onAdvance: called after each part of the work, from any thread, with how many problems that was; it adds up to
  ///     their number.
  /// - Throws: ``ReportError``: of code `wrongUsage` if mask or target do not fit the problems, `wrongData`
  ///   if a result overflows Float64 or a tolerance is out of reach.
  public init(
    on problems: [FiledProblem], options: Options = Options(), onAdvance: @Sendable (Double) -> Void = { _ in }
  ) throws(ReportError) {
    let routed = try FiledProblem.route(problems, space: options.space)
    let target = options.assessment.target
    if target != .expectedLoss, let first = problems.first,
      problems.allSatisfy({ $0.problem.kind == .categorical })
    {
      throw ReportError(
        .wrongUsage,
        "\(first.location): a categorical problem has only the target expected-loss, got \(target.rawValue)")
    }
    // With fewer problems than threads it is the samples of each that are split.
    let outer = problems.count < options.threads ? 1 : options.threads
    var inner = options
    inner.assessment.sampling?.threads = outer == 1 ? options.threads : 1
    inner.assessment.integration.threads = outer == 1 ? options.threads : 1
    let parts = parallelMap(0..<problems.count, threads: outer) { [inner] k in
      Result { () throws(ReportError) in
        try Problem(problems[k], routed: routed.problems[k], options: inner, onAdvance: onAdvance)
      }
    }
    var reported: [Problem] = []
    for part in parts { reported.append(try part.get()) }
    self.options = options
    self.problems = reported
    self.note = routed.note
  }
}

extension Report.Problem {
  init(
    _ filed: FiledProblem, routed: RoutedProblem, options: Report.Options, onAdvance: (Double) -> Void
  ) throws(ReportError) {
    func requireFinite(_ values: [Double], _ quantity: String) throws(ReportError) {
      guard values.allSatisfy(\.isFinite) else {
        throw ReportError(.wrongData, "\(filed.location): \(quantity) overflows Float64")
      }
    }
    let expectedLoss = try? routed.expectedLoss()
    try requireFinite(expectedLoss.map { [$0] } ?? [], "the expected loss")
    var targets: [(GradientTarget, [Double]?)] = []
    for target in GradientTarget.allCases {
      let gradient = try? target.gradient(of: routed)
      try requireFinite(gradient ?? [], "the target \(target.rawValue)")
      targets.append((target, gradient))
    }
    var entries: [Report.Entry] = []
    let estimators = options.estimators.estimators(on: routed.kind)
    for estimator in estimators {
      var done = 0.0
      func advance(to share: Double) {
        onAdvance((share - done) / Double(estimators.count))
        done = share
      }
      do {
        entries.append(
          try Report.Entry(estimator, on: routed, options: options) { samples in
            if let sampling = options.assessment.sampling { advance(to: Double(samples) / Double(sampling.samples)) }
          })
      } catch {
        throw ReportError(.wrongData, "\(filed.location): \(error)")
      }
      advance(to: 1)
    }
    self.init(filed: filed, routed: routed, expectedLoss: expectedLoss, targets: targets, entries: entries)
  }
}

extension Report.Entry {
  /// - Throws: ``AssessmentError`` other than that the estimator is unavailable, which is a result.
  init(
    _ estimator: any GradientEstimator, on problem: RoutedProblem, options: Report.Options,
    onSamples: (Int) -> Void
  ) throws(AssessmentError) {
    func assess(_ target: GradientTarget) throws(AssessmentError) -> Result<Assessment, Unavailable> {
      var options = options.assessment
      options.target = target
      do {
        let assessment = try Assessment(of: estimator, on: problem, options: options) { samples in
          onSamples(samples)
          return true
        }
        return .success(assessment)
      } catch {
        guard case .unavailable(let reason) = error else { throw error }
        return .failure(reason)
      }
    }
    let result = try assess(options.assessment.target)
    let own = estimator.claims.target
    let hasOwn = options.ownTargets && own != options.assessment.target && problem.kind == .mixture
    self.init(estimator: estimator, result: result, ownTarget: hasOwn ? try? assess(own).get() : nil)
  }
}

extension Report.Selection {
  /// The estimators to report on a kind of problem.
  func estimators(on kind: RoutingProblem.Kind) -> [any GradientEstimator] {
    switch self {
    case .enumerable:
      EstimatorRegistry.standard.filter {
        $0.isEnumerable && $0.claims.kinds.contains(kind)
      }
    case .all: EstimatorRegistry.standard.filter { $0.claims.kinds.contains(kind) }
    case .listed(let estimators): estimators
    }
  }
}
