// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad
import Synchronization

/// What `rg_test` points to: a claim, and what was seen of it so far.
final class TestHandle: Sendable {
  let problem: ProblemHandle
  let claim: Claim
  let criteria: Criteria
  let budget: Int
  private let state = Mutex(State())

  private struct State: ~Copyable {
    /// What samples come with; nil before the first.
    var shape: ForeignSamples.Shape?
    var verifier: SampleVerifier?
    var outcomes: [ForeignOutcome] = []
    var evidence: Evidence?
  }

  init(_ claim: Claim, on problem: ProblemHandle, criteria: Criteria, budget: Int) throws(Failure) {
    (self.claim, self.problem, self.criteria, self.budget) = (claim, problem, criteria, budget)
    _ = try verifier(draws: .none)
  }

  /// Adds samples; whether more are wanted.
  func feed(_ samples: ForeignSamples) throws(Failure) -> Bool {
    try state.withLock { (state) throws(Failure) in
      guard state.evidence == nil else { throw .argument("test: expected no more samples after its verdict") }
      if state.shape == nil {
        if !samples.shape.areOutcomes { state.verifier = try verifier(draws: samples.shape.draws) }
        state.shape = samples.shape
      }
      guard state.shape == samples.shape else {
        throw .argument("samples: expected choices, coins and probabilities as in the test's first samples")
      }
      if samples.shape.areOutcomes {
        state.outcomes += samples.outcomes
        guard state.outcomes.count <= Verification.mostOutcomes else {
          throw Failure(RG_INVALID_DATA, "samples: expected at most \(Verification.mostOutcomes) outcomes, got more")
        }
        return true
      }
      return state.verifier?.add(samples.gradients, draws: samples.draws) ?? true
    }
  }

  /// The verdict on what was added.
  func finish() throws(Failure) -> Evidence {
    try state.withLock { (state) throws(Failure) in
      if let evidence = state.evidence { return evidence }
      let seen = max(state.verifier?.seen ?? 0, state.outcomes.count)
      guard seen > 0 else { throw Failure(RG_INVALID_DATA, "samples: expected at least one sample, got none") }
      let evidence =
        state.verifier?.finish() ?? OutcomeVerifier.verdict(on: state.outcomes, claim: claim, criteria: criteria)
      state.evidence = evidence
      return evidence
    }
  }

  private func verifier(draws: SampleVerifier.DrawsGiven) throws(Failure) -> SampleVerifier {
    do throws(SampleVerifier.ImpossibleCriteria) {
      return try SampleVerifier(claim, criteria: criteria, draws: draws, budget: budget)
    } catch {
      throw .argument("\(claim.subject): \(error)")
    }
  }
}

extension SampleVerifier {
  /// The samples read, with the one that refuted.
  fileprivate var seen: Int { isDecided ? max(count, 1) : count }
}

extension Criteria {
  /// Reads criteria; the standard ones if there are none.
  fileprivate init(_ criteria: rg_criteria?) throws(Failure) {
    self.init()
    guard let c = criteria else { return }
    try requireSize(c.size, of: rg_criteria.self, "criteria")
    for (name, rate) in [("false_fail_rate", c.false_fail_rate), ("false_pass_rate", c.false_pass_rate)] {
      guard rate >= 1e-300, rate <= 0.5 else {
        throw .argument("criteria.\(name): expected a number from 1e-300 to 0.5, got \(rate)")
      }
    }
    guard c.detectable_bias > 0, c.detectable_bias.isFinite else {
      throw .argument("criteria.detectable_bias: expected a finite number above 0, got \(c.detectable_bias)")
    }
    guard c.tolerance >= 0, c.tolerance < 1 else {
      throw .argument("criteria.tolerance: expected a number from 0 to below 1, got \(c.tolerance)")
    }
    self.init(
      rates: ErrorRates(falseFail: c.false_fail_rate, falsePass: c.false_pass_rate), relativeTolerance: c.tolerance,
      relativeDetectableBias: c.detectable_bias)
  }
}

/// The claim that samples have a target as their mean.
private func claim(
  _ target: GradientTarget, on problem: ProblemHandle, within criteria: rg_criteria?
) throws(Failure) -> Claim {
  guard let c = criteria, c.lower < c.upper, (c.upper - c.lower).isFinite else {
    throw .argument("criteria.lower, criteria.upper: expected what every coordinate of a sample lies between")
  }
  return try claim(target.rawValue, on: problem) { () throws(AssessmentError) in
    try Claim(target, on: problem.routed, samplesIn: c.lower...c.upper)
  }
}

private func claim(
  _ subject: String, on problem: ProblemHandle, _ make: () throws(AssessmentError) -> Claim
) throws(Failure) -> Claim {
  try problem.computing { () throws(Failure) in
    do throws(AssessmentError) { return try make() } catch { throw Failure(error, subject) }
  }
}

@c @implementation
public func rg_test_create(
  _ problem: OpaquePointer?, _ estimator: OpaquePointer?, _ target: UnsafePointer<CChar>?,
  _ criteria: UnsafePointer<rg_criteria>?, _ test: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    let problem: ProblemHandle = try object(problem, "problem")
    let result = try required(test, "test")
    guard (estimator == nil) != (target == nil) else {
      throw .argument("estimator, target: expected one of them, got \(target == nil ? "none" : "both")")
    }
    let numbers = criteria?.pointee
    let standard = try Criteria(numbers)
    let claimed: Claim
    if target != nil {
      claimed = try claim(try RouteGradABI.target(target), on: problem, within: numbers)
    } else {
      let estimator = try object(estimator, "estimator", as: EstimatorHandle.self).estimator
      claimed = try claim(estimator.specification, on: problem) { () throws(AssessmentError) in
        try Claim(estimator, on: problem.routed)
      }
    }
    let most = numbers?.max_samples ?? 0
    result.pointee = handle(
      try TestHandle(
        claimed, on: problem, criteria: standard, budget: most == 0 ? .max : Int(clamping: most)))
  }
}

@c @implementation
public func rg_test_feed(
  _ test: OpaquePointer?, _ samples: UnsafePointer<rg_samples>?, _ wantsMore: UnsafeMutablePointer<Int32>?
) -> rg_status {
  reporting { () throws(Failure) in
    let test: TestHandle = try object(test, "test")
    let more = try test.feed(try ForeignSamples(samples, on: test.problem))
    wantsMore?.pointee = more ? 1 : 0
  }
}

@c @implementation
public func rg_test_verdict(
  _ test: OpaquePointer?, _ verdict: UnsafeMutablePointer<rg_verdict>?,
  _ report: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    let test: TestHandle = try object(test, "test")
    let evidence = try test.finish()
    verdict?.pointee = rg_verdict(evidence.verdict)
    guard let report else { return }
    let words = VerdictReport(evidence, on: test.problem.routed)
    report.pointee = handle(ReportHandle(text: words.text(style: .plain), json: words.json))
  }
}

@c @implementation
public func rg_test_destroy(_ test: OpaquePointer?) { release(test, as: TestHandle.self) }
