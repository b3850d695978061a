import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension Report {
  /// Reports on problems.
  ///
  /// - Parameters:
  ///   - problems: in the order in which they are reported.
  ///   - options: what to report.
  ///   - onProblem: called after each problem, from any thread.
  /// - Throws: ``ReportError``: of code `wrongUsage` if mask or target do not fit the problems, `wrongData`
  ///   if a result overflows Float64.
  public init(
    on problems: [FiledProblem], options: Options = Options(), onProblem: @Sendable () -> Void = {}
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
    let parts = parallelMap(0..<problems.count, threads: outer) { [inner] k in
      defer { onProblem() }
      return Result { () throws(ReportError) in
        try Problem(problems[k], routed: routed.problems[k], options: inner)
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
  init(_ filed: FiledProblem, routed: RoutedProblem, options: Report.Options) throws(ReportError) {
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
    for estimator in options.estimators.estimators(on: routed.kind) {
      do {
        entries.append(try Report.Entry(estimator, on: routed, options: options))
      } catch {
        throw ReportError(.wrongData, "\(filed.location): \(error)")
      }
    }
    self.init(filed: filed, routed: routed, expectedLoss: expectedLoss, targets: targets, entries: entries)
  }
}

extension Report.Entry {
  /// - Throws: `Overflow`.
  init(
    _ estimator: any GradientEstimator, on problem: RoutedProblem, options: Report.Options
  ) throws(Overflow) {
    func assess(_ target: GradientTarget) throws(Overflow) -> Result<Assessment, Unavailable> {
      var options = options.assessment
      options.target = target
      do {
        return .success(try Assessment(of: estimator, on: problem, options: options))
      } catch {
        switch error {
        case .unavailable(let reason): return .failure(reason)
        case .overflow(let overflow): throw overflow
        }
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
        $0 is any FiniteOutcomeEstimator && $0.claims.kinds.contains(kind)
      }
    case .all: EstimatorRegistry.standard.filter { $0.claims.kinds.contains(kind) }
    case .listed(let estimators): estimators
    }
  }
}
