import RoutingCore
import RoutingEstimators
import RoutingExpectations
import RoutingVerification
import _TestSupport

/// What the verifier makes of a planted fault, and of its sound twin on the same problem.
struct FaultTrial {
  var fault: PlantedFault
  /// The problem on which the fault shows with the fewest samples.
  var problem: TestProblem
  /// Samples with their draws.
  var withDraws: Evidence
  /// All outcomes.
  var outcomes: Evidence
  /// Whether samples show it; a list of outcomes may be wrong in ways that samples of it are not.
  var showsInSamples: Bool
  /// The largest bias of a coordinate.
  var bias: Double
  /// The samples that the mean alone should need; nil if the mean is right.
  var requiredSamples: Int?
  /// Gradients alone, within bounds that the fault keeps; nil if the mean is right, or too many samples are needed.
  var mean: Evidence?
  /// The twin's, in the same order.
  var twin: (withDraws: Evidence, outcomes: Evidence, mean: Evidence?)

  /// Means that need more samples are not tried.
  static let mostSamples = 400_000

  /// Problems of both kinds; those with a single expert, and those that polynomials were made for.
  static let problems: [TestProblem] = {
    var problems = TestProblems.standard
    for kind in RoutingProblem.Kind.allCases {
      for degree in 1...3 { problems += (try? TestProblems.polynomials(degree: degree, kind: kind)) ?? [] }
      var maker = ProblemMaker("single expert, \(kind)")
      if let single = try? maker.problem("\(kind) of one expert", kind: kind, type: "log-cosh", experts: 1, width: 1) {
        problems.append(single)
      }
    }
    return problems
  }()

  init?(of fault: PlantedFault) throws {
    let sound = try EstimatorSpecifications.finite(fault.twin)
    var best: Candidate?
    for problem in Self.problems {
      guard let candidate = Candidate(fault: fault, sound: sound, problem: problem) else { continue }
      if best.map({ candidate.isBetter(than: $0) }) ?? true { best = candidate }
    }
    guard let best else { return nil }
    self.fault = fault
    problem = best.problem
    requiredSamples = best.samples
    showsInSamples = best.judgeOutcomes(of: best.faulty.normalised).verdict == .refuted
    bias = best.bias > 1e-12 * best.claim.bounds.scale ? best.bias : 0
    let stream = "planted fault: \(fault.name)"
    withDraws = try best.judgeDraws(of: best.faulty, stream: stream)
    outcomes = best.judgeOutcomes(of: best.faulty)
    twin = (try best.judgeDraws(of: best.own, stream: stream), best.judgeOutcomes(of: best.own), nil)
    if let samples = best.samples, samples <= Self.mostSamples {
      mean = try best.judgeMean(of: best.faulty, samples: samples, stream: stream)
      twin.mean = try best.judgeMean(of: best.own, samples: samples, stream: stream)
    }
  }
}

/// A fault on one of the problems.
private struct Candidate {
  let problem: TestProblem
  let own: OutcomeDistribution
  let faulty: OutcomeDistribution
  let claim: Claim
  /// The largest bias of a coordinate, and the samples that finding it takes; nil if there is none.
  let bias: Double
  let samples: Int?
  let isRefutedByOutcomes: Bool

  init?(fault: PlantedFault, sound: any FiniteOutcomeEstimator, problem: TestProblem) {
    guard sound.claims.kinds.contains(problem.problem.kind),
      let own = try? sound.outcomes(of: problem.problem),
      let faulty = try? fault.estimator.outcomes(of: problem.problem),
      let claim = try? Claim(sound, on: problem.problem), faulty.outcomes.contains(where: { $0.probability > 0 })
    else { return nil }
    self.problem = problem
    self.own = own
    self.faulty = faulty
    self.claim = claim
    // Not `moments()` of the list, which takes the choices' probabilities to be π.
    let moments = ExactMomentComparison(
      of: Self.foreign(faulty.normalised), with: claim, tolerance: 0, probabilityTolerance: 1
    ).found
    bias = zip(moments.mean, claim.mean).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
    let criteria = Criteria()
    let tolerance = criteria.tolerance(of: claim)
    isRefutedByOutcomes =
      OutcomeVerifier.verdict(on: Self.foreign(faulty), claim: claim, criteria: criteria).verdict == .refuted
    guard isRefutedByOutcomes else { return nil }
    guard bias > 2 * tolerance else {
      samples = nil
      return
    }
    let bounds = Self.bounds(own, faulty)
    samples = SampleSizeDesign(
      coordinates: claim.coordinates,
      deviation: max(moments.variance.max() ?? 0, own.moments().variance.max() ?? 0).squareRoot(),
      range: bounds.largestRange + 2 * tolerance, tolerance: tolerance
    ).requiredSamples(toDetect: bias)
  }

  func isBetter(than other: Candidate) -> Bool {
    guard samples == nil, other.samples == nil else { return (samples ?? .max) < (other.samples ?? .max) }
    return own.outcomes.count > 1 && other.own.outcomes.count == 1
  }

  static func foreign(_ list: OutcomeDistribution) -> [ForeignOutcome] {
    ((try? list.enumerated()) ?? []).map {
      ForeignOutcome(
        draw: ForeignDraw(choice: $0.choice, coins: $0.coins), probability: $0.probability,
        gradient: list.gradient(of: $0))
    }
  }

  private static func bounds(_ a: OutcomeDistribution, _ b: OutcomeDistribution) -> SampleBounds {
    let (a, b) = (SampleBounds(of: a), SampleBounds(of: b))
    return SampleBounds(lower: zip(a.lower, b.lower).map(min), upper: zip(a.upper, b.upper).map(max))
  }

  func judgeOutcomes(of list: OutcomeDistribution) -> Evidence {
    OutcomeVerifier.verdict(on: Self.foreign(list), claim: claim, criteria: Criteria())
  }

  /// Samples with draws, until there is a verdict or there were 20 000.
  func judgeDraws(of list: OutcomeDistribution, stream: String) throws -> Evidence {
    try judge(list, claim: claim, criteria: Criteria(), draws: .choicesAndCoins, samples: 20_000, stream: stream)
  }

  /// Gradients alone, within the bounds of both: what is left is the mean.
  func judgeMean(of list: OutcomeDistribution, samples: Int, stream: String) throws -> Evidence {
    let wide = Claim(subject: claim.subject, mean: claim.mean, bounds: Self.bounds(own, faulty))
    let size = norm(claim.mean)
    let criteria = Criteria(
      relativeTolerance: Criteria.standardTolerance * claim.bounds.scale / max(wide.bounds.scale, 1e-300),
      relativeDetectableBias: size > 0 ? bias / size : bias)
    return try judge(list, claim: wide, criteria: criteria, draws: .none, samples: samples, stream: stream)
  }

  private func judge(
    _ list: OutcomeDistribution, claim: Claim, criteria: Criteria, draws: SampleVerifier.DrawsGiven, samples: Int,
    stream: String
  ) throws -> Evidence {
    var verifier = try SampleVerifier(claim, criteria: criteria, draws: draws, budget: samples)
    var generator = TestSeed.generator(stream)
    let sampler = OutcomeSampler(list)
    var rows: [Double] = []
    var drawn: [ForeignDraw] = []
    repeat {
      rows.removeAll(keepingCapacity: true)
      drawn.removeAll(keepingCapacity: true)
      for _ in 0..<64 {
        let outcome = sampler.sample(using: &generator)
        rows += list.gradient(of: outcome)
        drawn.append(ForeignDraw(choice: outcome.choice, coins: outcome.coins))
      }
    } while verifier.add(rows, draws: drawn)
    return verifier.finish()
  }
}

extension OutcomeDistribution {
  /// The same list with probabilities that sum to 1, which those of some faults do not.
  fileprivate var normalised: OutcomeDistribution {
    guard samples == 1 else { return self }
    let total = outcomes.reduce(0) { $0 + $1.probability }
    return OutcomeDistribution(
      distribution: distribution, followUps: followUps,
      outcomes: outcomes.map { outcome in
        var changed = outcome
        changed.probability /= total
        return changed
      })
  }
}
