import RouterSpecifications
import RoutingCore

/// The battery: holds a foreign router to the checks of ``LintCheck``, one after the other.
///
/// Every check is deterministic. It makes calls that depend on the seed alone, forces every random draw, and compares the
/// answers with each other or with a formula that the router's profile declares, to `RouterProfile.tolerance`. "Proved"
/// holds for the calls made, of which there is a number in each finding; there is no error rate to state.
///
/// *Edge cases*: a router whose answers are not repeatable is not held to the checks that compare one answer with another.
public struct RouterLint: Sendable {
  /// The seed of the calls.
  public var seed: UInt64
  /// The checks to run; ``LintCheck/repeatability`` comes first in any case.
  public var checks: [LintCheck]

  /// A battery.
  public init(seed: UInt64 = 0, checks: [LintCheck] = LintCheck.battery) {
    self.seed = seed
    self.checks = LintCheck.allCases.filter { checks.contains($0) || $0 == .repeatability }
  }

  /// Runs the checks.
  ///
  /// - Parameters:
  ///   - router: the router.
  ///   - other: a router that ``LintCheck/sameAs`` compares it with; it is asked nothing else.
  ///   - onCheck: told of every check before it begins.
  /// - Throws: ``RouterFailure`` if the profile contradicts itself, or the router gives no answer, or one of another shape
  ///   than asked for.
  public func run(
    on router: some ForeignRouter, sameAs other: (any ForeignRouter)? = nil, onCheck: (LintCheck) -> Void = { _ in }
  ) throws(RouterFailure) -> LintResult {
    do throws(InvalidInput) {
      try router.profile.validate()
    } catch {
      throw RouterFailure("the router's profile: \(error)")
    }
    var findings: [LintFinding] = []
    for check in checks {
      onCheck(check)
      if check.comparesAnswers, findings.first?.verdict == .refuted {
        findings.append(
          LintFinding(check: check, verdict: .undecided, detail: "the router's answers are not repeatable", calls: 0))
        continue
      }
      findings.append(try finding(of: check, router, other))
    }
    return LintResult(profile: router.profile, seed: seed, findings: findings)
  }

  private func finding(
    of check: LintCheck, _ router: some ForeignRouter, _ other: (any ForeignRouter)?
  ) throws(RouterFailure) -> LintFinding {
    let session = LintSession(router, sameAs: other, check: check, seed: seed)
    let verdict: Verdict?
    let detail: String
    do throws(LintSession.Stop) {
      detail = try session.run(check)
      verdict = .proved
    } catch {
      switch error {
      case .failure(let failure):
        throw RouterFailure("\(check.rawValue), call \(session.calls): \(failure.description)")
      case .refuted(let words): (verdict, detail) = (.refuted, "call \(session.calls): \(words)")
      case .undecided(let words): (verdict, detail) = (.undecided, words)
      case .notApplicable(let words): (verdict, detail) = (nil, words)
      }
    }
    return LintFinding(check: check, verdict: verdict, detail: detail, calls: session.calls)
  }
}

extension LintCheck {
  /// Whether it compares one answer with another, which says nothing where answers do not repeat.
  var comparesAnswers: Bool {
    switch self {
    case .gradientEntries, .tokenIndependence, .shiftInvariance, .evaluationMode, .microBatches, .causality: true
    default: false
    }
  }
}

extension LintSession {
  /// Runs a check; what was compared.
  func run(_ check: LintCheck) throws(Stop) -> String {
    switch check {
    case .repeatability: try repeatability()
    case .routerGradient: try routerGradient()
    case .gradientEntries: try gradientEntries()
    case .gradientSum: try gradientSum()
    case .gateOrder: try gateOrder()
    case .gateGradient: try gateGradient()
    case .forward: try forward()
    case .expertInput: try expertInput()
    case .inputsUnchanged: try inputsUnchanged()
    case .extremeValues: try extremeValues()
    case .auxiliaryLoss: try auxiliaryLoss()
    case .capacity: try capacity()
    case .tokenIndependence: try tokenIndependence()
    case .shiftInvariance: try shiftInvariance()
    case .evaluationMode: try evaluationMode()
    case .selection: try selection()
    case .tinyGates: try tinyGates()
    case .biasPrecision: try biasPrecision()
    case .replay: try replay()
    case .auxiliaryGradient: try auxiliaryGradient()
    case .microBatches: try microBatches()
    case .capacityPriority: try capacityPriority()
    case .causality: try causality()
    case .noiseGradient: try noiseGradient()
    case .application: try application()
    case .biasUpdate: try biasUpdate()
    case .sameAs: try sameAs()
    }
  }

  /// Whether two answers to calls on the same numbers agree; what differs if not. In which order a token's experts are told
  /// matters only where they are drawn one after the other.
  ///
  /// - Parameter gradientsToo: whether gradients are compared.
  func difference(
    _ a: RouterAnswer, _ b: RouterAnswer, to call: RouterCall, gradientsToo: Bool = true
  ) -> String? {
    let isOrdered = specification.gate?.source == .sequential
    func multipliers(_ answer: RouterAnswer, _ t: Int) -> [Double] {
      isOrdered
        ? answer.multipliers[t]
        : zip(answer.choice[t], answer.multipliers[t]).sorted { $0.0 < $1.0 }.map(\.1)
    }
    for t in 0..<call.tokens {
      if isOrdered ? a.choice[t] != b.choice[t] : a.choice[t].sorted() != b.choice[t].sorted() {
        return "token \(t) goes to \(Words.list(a.choice[t])) and to \(Words.list(b.choice[t]))"
      }
      if !agree(multipliers(a, t), multipliers(b, t), scale: 1) {
        return "token \(t)'s multipliers are \(Words.list(a.multipliers[t])) and \(Words.list(b.multipliers[t]))"
      }
      guard gradientsToo, let left = a.gradient, let right = b.gradient else { continue }
      if !agree(left[t], right[t], scale: gradientScale(call, a, token: t)) {
        return "token \(t)'s gradients are \(Words.list(left[t])) and \(Words.list(right[t]))"
      }
    }
    return nil
  }
}
