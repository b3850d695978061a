import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

/// SIMPLE and ProbMoE beyond what every estimator is held to.
@Suite(.seeded) struct SIMPLETests {
  /// Of one expert SIMPLE is straight-through at τ = 1, outcome by outcome.
  @Test(arguments: TestProblems.standard)
  func ofOneExpertItIsStraightThrough(_ problem: TestProblem) throws {
    let one = try SIMPLE(sizes: 1...1).outcomes(of: problem.problem)
    let other = try StraightThrough().outcomes(of: problem.problem)
    #expect(one.outcomes.map(\.choice) == other.outcomes.map(\.choice))
    for (a, b) in zip(one.outcomes, other.outcomes) {
      #expect((a.probability - b.probability).magnitude <= 1e-15)
      #expect(a.multiplier == b.multiplier)
      let (ours, theirs) = (one.gradient(of: a), other.gradient(of: b))
      #expect(relativeError(of: ours, from: theirs) <= 1e-13, "\(ours), \(theirs)")
    }
  }

  /// Where all experts are drawn nothing is random, and only the gates have a gradient.
  @Test(arguments: TestProblems.standard)
  func allExperts(_ problem: TestProblem) throws {
    let routed = problem.problem
    let n = routed.distribution.support.count
    let outcomes = try SIMPLE(sizes: n...n).outcomes(of: routed)
    #expect(outcomes.count == 1 && outcomes.outcomes[0].probability == 1)
    let moments = outcomes.moments()
    #expect(moments.totalVariance == 0)
    guard routed.kind == .mixture else {
      #expect(moments.mean.allSatisfy { $0 == 0 })
      return
    }
    let law = SubsetLaw.conditionalBernoulli(sizes: n...n)
    let gating = try GradientTarget.gatingTerm.gradient(of: routed, subsets: law)
    #expect(relativeError(of: moments.mean, from: gating) <= 1e-13)
    #expect(try GradientTarget.routingTerm.gradient(of: routed, subsets: law).allSatisfy { $0 == 0 })
  }

  /// 64 experts, 8 of them: 4.4·10⁹ subsets are not listed. Linear losses need no list; others are refused, and sampled.
  @Test func moreSubsetsThanAreListed() throws {
    var maker = ProblemMaker("many subsets")
    let logits = maker.generator.normals(64)
    func problem(_ type: String) throws -> RoutedProblem {
      try maker.problem(
        type, kind: .mixture, objective: try maker.objective(type, dimension: 3), logits: logits
      ).problem
    }
    let linear = try problem("linear")
    for estimator in [SIMPLE(sizes: 8...8), ProbMoE(sizes: 8...8)] as [any GradientEstimator] {
      let exact = try Assessment(of: estimator, on: linear, options: AssessmentOptions(covariance: true))
      #expect(exact.estimate.method == .enumeration && exact.estimate.outcomes == nil)
      let isExact = estimator is SIMPLE
      let bias = try #require(exact.relativeBias)
      #expect(isExact ? bias < 1e-13 : bias > 0.1)
      // α = 1e-6 over all coordinates.
      let run = try MonteCarlo.moments(of: estimator, on: linear, sampling: .init(samples: 4000, seed: TestSeed.value))
      for k in logits.indices {
        let error = run.standardErrors.mean[k]
        #expect((run.estimate.moments.mean[k] - exact.estimate.moments.mean[k]).magnitude <= 6 * error + 1e-15)
      }
      let curved = try problem("log-cosh")
      #expect(
        throws: AssessmentError.unavailable(
          Unavailable("has 4426165368 subsets of 64 experts to list, more than 65536; it can be sampled"))
      ) { try Assessment(of: estimator, on: curved) }
      let sampled = try Assessment(
        of: estimator, on: curved, options: AssessmentOptions(sampling: .init(samples: 100, seed: 1)))
      #expect(sampled.estimate.method == .monteCarlo && sampled.targetGradient == nil)
    }
  }

  @Test func whatIsNotDefinedIsUnavailable() throws {
    let problem = TestProblems.standard[0].problem  // categorical, two experts
    #expect(throws: Unavailable("needs 3 experts that may be drawn")) { try SIMPLE(sizes: 3...3).outcomes(of: problem) }
    #expect(throws: Unavailable("needs a mixture problem")) { try ProbMoE().outcomes(of: problem) }
    let table = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [0, 1], source: .table(values: [0, 1], gradients: [[0, 1], [1, 0]]))))
    #expect(throws: Unavailable("needs the objective as a function, which a table is not")) {
      try SIMPLE().outcomes(of: table)
    }
    #expect(throws: Unavailable("is not defined for subsets")) {
      try GradientTarget.denseMixture.gradient(
        of: TestProblems.standard[1].problem, subsets: .conditionalBernoulli(sizes: 1...1))
    }
    #expect(throws: InvalidEstimator("estimator 'simple': expected a k-max of at least k = 3, got 2")) {
      try EstimatorRegistry.estimator("simple:k=3,k-max=2")
    }
  }
}
