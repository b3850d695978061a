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
  ///   - continuing: asked before each estimator, and now and then while samples are drawn and integrals done, from any
  ///     thread; false calls the report off.
  /// - Throws: ``Refusal``: of code `wrongUsage` if mask or target do not fit the problems, `wrongData`
  ///   if a result overflows Float64 or a tolerance is out of reach, `interrupted` if the report was called off.
  public init(
    on problems: [FiledProblem], options: Options = Options(), onAdvance: @Sendable (Double) -> Void = { _ in },
    continuing: @Sendable () -> Bool = { true }
  ) throws(Refusal) {
    let routed = try FiledProblem.route(problems, mask: options.mask)
    try Self.requireTarget(
      options, first: problems.first, areAllCategorical: problems.allSatisfy { $0.problem.kind == .categorical })
    let batch = zip(problems, routed.problems).map { ($0, $1) }
    self.options = options
    self.problems = try Self.problems(
      batch, of: problems.count, options: options, onAdvance: onAdvance, continuing: continuing)
    self.note = routed.note
  }

  /// Reports on problems that need not fit into memory, one after the other.
  ///
  /// They are read twice: first to count them and to refuse what is wrong with them, before anything is computed or
  /// written; then to report on them, a few at a time.
  ///
  /// - Parameters:
  ///   - source: the problems.
  ///   - options: what to report.
  ///   - onAdvance: as in ``init(on:options:onAdvance:continuing:)``.
  ///   - continuing: likewise.
  ///   - begin: told the number of problems and the report's ``note``, before the first.
  ///   - write: told each problem's report, in their order.
  /// - Throws: ``Refusal`` as ``init(on:options:onAdvance:continuing:)``, what `source` throws, and what `begin` and `write` throw.
  package static func stream(
    _ source: ProblemSource, options: Options, onAdvance: @Sendable (Double) -> Void = { _ in },
    continuing: @Sendable () -> Bool = { true },
    begin: (_ count: Int, _ note: String?) throws -> Void, write: (Problem) throws -> Void
  ) throws {
    var (count, categorical) = (0, 0)
    var first: FiledProblem?
    var next = try source.start()
    while let filed = try next() {
      count += 1
      if filed.problem.kind == .categorical { categorical += 1 }
      first = first ?? filed
      _ = try filed.routed(mask: options.mask)
    }
    let note = try FiledProblem.maskNote(categorical: categorical, of: count, first: first, mask: options.mask)
    try requireTarget(options, first: first, areAllCategorical: categorical == count)
    try begin(count, note)
    next = try source.start()
    let length = options.threads * 16
    var batch: [(FiledProblem, RoutedProblem)] = []
    while true {
      let filed = try next()
      if let filed { batch.append((filed, try filed.routed(mask: options.mask))) }
      guard batch.count == length || filed == nil else { continue }
      let reported = try problems(batch, of: count, options: options, onAdvance: onAdvance, continuing: continuing)
      for problem in reported { try write(problem) }
      batch.removeAll(keepingCapacity: true)
      if filed == nil { return }
    }
  }

  private static func requireTarget(
    _ options: Options, first: FiledProblem?, areAllCategorical: Bool
  ) throws(Refusal) {
    let target = options.assessment.target
    guard target != .expectedLoss, let first, areAllCategorical else { return }
    throw Refusal(
      .wrongUsage,
      "\(first.location): a categorical problem has only the target expected-loss, got \(target.rawValue)")
  }

  /// The reports on some of `count` problems, in parallel.
  private static func problems(
    _ batch: [(FiledProblem, RoutedProblem)], of count: Int, options: Options, onAdvance: @Sendable (Double) -> Void,
    continuing: @Sendable () -> Bool
  ) throws(Refusal) -> [Problem] {
    // With fewer problems than threads it is the samples of each that are split.
    let outer = count < options.threads ? 1 : options.threads
    var inner = options
    inner.assessment.sampling?.threads = outer == 1 ? options.threads : 1
    inner.assessment.integration.threads = outer == 1 ? options.threads : 1
    let parts = parallelMap(0..<batch.count, threads: outer) { [inner] k in
      Result { () throws(Refusal) in
        try Problem(batch[k].0, routed: batch[k].1, options: inner, onAdvance: onAdvance, continuing: continuing)
      }
    }
    var reported: [Problem] = []
    for part in parts { reported.append(try part.get()) }
    return reported
  }
}

extension Report.Problem {
  init(
    _ filed: FiledProblem, routed: RoutedProblem, options: Report.Options, onAdvance: (Double) -> Void,
    continuing: () -> Bool
  ) throws(Refusal) {
    let calledOff = Refusal(.interrupted, "\(filed.location): called off")
    func requireFinite(_ values: [Double], _ quantity: String) throws(Refusal) {
      guard values.allSatisfy(\.isFinite) else {
        throw Refusal(.wrongData, "\(filed.location): \(quantity) overflows Float64")
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
      guard continuing() else { throw calledOff }
      var isWanted = true
      do throws(AssessmentError) {
        entries.append(
          try Report.Entry(estimator, on: routed, options: options) { samples in
            if let sampling = options.assessment.sampling { advance(to: Double(samples) / Double(sampling.samples)) }
            isWanted = isWanted && continuing()
            return isWanted
          })
        // What is left of a sampled run has fewer samples than were asked for.
        guard isWanted else { throw .interrupted }
      } catch {
        if case .interrupted = error { throw calledOff }
        throw Refusal(.wrongData, "\(filed.location): \(error)")
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
    continuing: (_ samples: Int) -> Bool
  ) throws(AssessmentError) {
    func assess(_ target: GradientTarget) throws(AssessmentError) -> Result<Assessment, Unavailable> {
      var options = options.assessment
      options.target = target
      do {
        return .success(try Assessment(of: estimator, on: problem, options: options, continuing: continuing))
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
  /// What `all`, or a comma-separated list, stands for; nil for none.
  ///
  /// - Throws: `InvalidEstimator`.
  package init?(list: String?) throws(InvalidEstimator) {
    switch list {
    case nil: return nil
    case "all": self = .all
    case .some(let list): self = .listed(try EstimatorRegistry.estimators(list: list))
    }
  }

  /// The estimators to report on a kind of problem.
  func estimators(on kind: RoutingProblem.Kind) -> [any GradientEstimator] {
    switch self {
    case .enumerable:
      EstimatorRegistry.standard.filter { $0.isReportedByDefault && $0.claims.kinds.contains(kind) }
    case .all: EstimatorRegistry.standard.filter { $0.claims.kinds.contains(kind) }
    case .listed(let estimators): estimators
    }
  }
}
