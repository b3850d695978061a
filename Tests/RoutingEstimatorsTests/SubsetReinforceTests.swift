import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

/// Score functions of subsets, and sets that stand for single draws, beyond what every estimator is held to.
@Suite(.seeded) struct SubsetReinforceTests {
  /// Of one expert both laws are the softmax, and the estimator is REINFORCE.
  @Test(arguments: TestProblems.standard)
  func ofOneExpertItIsReinforce(_ problem: TestProblem) throws {
    let other = try Reinforce(baseline: .constant(0.5)).outcomes(of: problem.problem)
    for law in [SubsetLaw.plackettLuce(1), .conditionalBernoulli(sizes: 1...1)] {
      let one = try SubsetReinforce(law: law, baseline: 0.5).outcomes(of: problem.problem)
      #expect(one.outcomes.map(\.choice) == other.outcomes.map(\.choice))
      for (a, b) in zip(one.outcomes, other.outcomes) {
        #expect((a.probability - b.probability).magnitude <= 1e-15)
        #expect(relativeError(of: one.gradient(of: a), from: other.gradient(of: b)) <= 1e-13)
      }
    }
  }

  /// With every expert drawn it is the exact gradient, without variance; with one it is REINFORCE; in between variance falls.
  @Test(arguments: TestProblems.standard.filter { $0.problem.kind == .categorical })
  func unorderedSets(_ problem: TestProblem) throws {
    let routed = problem.problem
    let n = routed.distribution.support.count
    let exact = try routed.expectedLossGradient()
    let scale = try UnorderedSet(k: 1).outcomes(of: routed).moments().totalVariance
    var last = Double.infinity
    for k in 1...n {
      let moments = try UnorderedSet(k: k).outcomes(of: routed).moments()
      let size = max(scale.squareRoot(), norm(exact))
      #expect(relativeError(of: moments.mean, from: exact, scale: size) <= 1e-13, "k = \(k)")
      #expect(moments.totalVariance <= last + 1e-13 * size * size, "k = \(k)")
      if k > 1 { last = moments.totalVariance }
    }
    let all = try UnorderedSet(k: n).outcomes(of: routed)
    #expect(all.count == 1)
    #expect(n == 1 || all.moments().totalVariance <= 1e-26 * max(scale, 1))
    let reinforce = try Reinforce().outcomes(of: routed)
    for (a, b) in zip(try UnorderedSet(k: 1).outcomes(of: routed).outcomes, reinforce.outcomes) {
      #expect(relativeError(of: reinforce.gradient(of: a), from: reinforce.gradient(of: b)) <= 1e-13)
    }
  }

  /// 32 experts, 8 of them, are not listed; runs are unbiased all the same: against the exact gradient of a single draw within
  /// six standard errors.
  @Test func moreSetsThanAreListed() throws {
    var maker = ProblemMaker("many sets")
    let logits = maker.generator.normals(32)
    let problem = try maker.problem(
      "many", kind: .categorical, objective: try maker.objective("log-cosh", dimension: 32), logits: logits
    ).problem
    #expect(
      throws: Unavailable("has 10518300 subsets of 32 experts to list, more than 16384; it can be sampled")
    ) { try UnorderedSet(k: 8).outcomes(of: problem) }
    let exact = try problem.expectedLossGradient()
    let run = try MonteCarlo.moments(
      of: UnorderedSet(k: 8), on: problem, sampling: .init(samples: 500, seed: TestSeed.value))
    for k in exact.indices {
      #expect((run.estimate.moments.mean[k] - exact[k]).magnitude <= 6 * run.standardErrors.mean[k])
    }
    #expect(throws: Unavailable("takes at most 12 experts, which have 2^k ways to be drawn")) {
      try SubsetReinforce(law: .plackettLuce(13)).outcomes(of: problem)
    }
  }

  @Test func parametersThatContradictEachOther() {
    #expect(throws: InvalidEstimator("estimator 'subset-reinforce': 'k-max' goes with law=conditional-bernoulli")) {
      try EstimatorRegistry.estimator("subset-reinforce:k=1,k-max=2")
    }
  }
}
