import RoutingCore
import RoutingEstimators
import RoutingExpectations
import RoutingVerification
import Testing
import _TestSupport

@Suite("Claims", .seeded)
struct ClaimTests {
  static func problem(_ kind: RoutingProblem.Kind) throws -> RoutedProblem {
    var maker = ProblemMaker("claims \(kind)")
    return try maker.problem("claim", kind: kind, type: "log-cosh", experts: 5, width: 3).problem
  }

  /// No Gumbel sample leaves the bounds that follow from the problem, and some come near.
  @Test(arguments: RoutingProblem.Kind.allCases, [0.1, 1.0, 5.0])
  func gumbelSamplesStayWithinBounds(kind: RoutingProblem.Kind, temperature: Double) throws {
    let problem = try Self.problem(kind)
    let estimator = GumbelSoftmaxST(temperature: temperature)
    let claim = try Claim(estimator, on: problem)
    let sampler = try estimator.sampler(on: problem)
    var generator = TestSeed.generator("gumbel bounds \(kind) \(temperature)")
    for _ in 0..<5000 {
      for (k, value) in sampler.sample(using: &generator).enumerated() {
        #expect(value >= claim.bounds.lower[k] - 1e-12 && value <= claim.bounds.upper[k] + 1e-12)
      }
    }
    #expect(claim.outcomes == nil)
    #expect(claim.meanError < 1e-8)
  }

  @Test func enumeratedBoundsHoldTheMean() throws {
    for problem in TestProblems.standard {
      for estimator in EstimatorRegistry.standard {
        guard let claim = try? Claim(estimator, on: problem.problem), claim.outcomes != nil else { continue }
        for k in 0..<claim.coordinates {
          #expect(claim.bounds.lower[k] <= claim.mean[k] && claim.mean[k] <= claim.bounds.upper[k])
        }
      }
    }
  }

  /// Experts of a subset may be told in any order, their multipliers with them; those of ordered draws may not.
  @Test(arguments: [("probmoe:k=2", Verdict.proved), ("sparsemixer-v2-top2", .refuted)])
  func subsetsHaveNoOrder(_ specification: String, _ verdict: Verdict) throws {
    let problem = try #require(TestProblems.standard.first { $0.name == "mixture log-cosh" }).problem
    let estimator = try EstimatorSpecifications.finite(specification)
    let list = try estimator.outcomes(of: problem)
    let outcomes = list.outcomes.map {
      ForeignOutcome(
        draw: ForeignDraw(choice: $0.choice.reversed(), coins: $0.coins), probability: $0.probability,
        multiplier: $0.multiplier?.reversed(), gradient: list.gradient(of: $0))
    }
    let claim = try Claim(estimator, on: problem)
    let evidence = OutcomeVerifier.verdict(on: outcomes, claim: claim, criteria: Criteria())
    #expect(evidence.verdict == verdict, "\(String(describing: evidence.counterExample))")
  }

  /// What is no claim at all: a target outside of the bounds, an estimator for another kind of problem.
  @Test func refusals() throws {
    let problem = try Self.problem(.categorical)
    #expect(throws: AssessmentError.self) { try Claim(.expectedLoss, on: problem, samplesIn: 10...11) }
    #expect(throws: AssessmentError.self) { try Claim(.routingTerm, on: problem, samplesIn: -10...10) }
    #expect(throws: AssessmentError.self) { try Claim(SparseMixer(), on: problem) }
  }

  /// The Gumbel estimator itself is found consistent with its own integral, and half of it is refuted.
  @Test func gumbelSamplesAgainstTheirIntegral() throws {
    let problem = try Self.problem(.categorical)
    let estimator = GumbelSoftmaxST(temperature: 0.7)
    let claim = try Claim(estimator, on: problem)
    let sampler = try estimator.sampler(on: problem)
    for (factor, verdict) in [(1.0, Verdict.consistent), (0.5, .refuted)] {
      var verifier = try SampleVerifier(claim, criteria: Criteria(relativeDetectableBias: 0.3), budget: 200_000)
      var generator = TestSeed.generator("gumbel claim")
      var wantsMore = true
      while wantsMore {
        wantsMore = verifier.add((0..<16).flatMap { _ in sampler.sample(using: &generator).map { factor * $0 } })
      }
      #expect(verifier.finish().verdict == verdict)
    }
  }
}
