import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@Suite struct ReinforceTests {
  @Test func baselinesOnAMixture() throws {
    let problem = try HandProblems.parabola()
    // Weights F − b + c with F + c = (3, 12).
    try HandProblems.expect(
      "reinforce", on: problem, [([0], [], 0.5, 1.5), ([1], [], 0.5, -6)], multipliers: [[0.5], [0.5]])
    try HandProblems.expect(
      "reinforce:baseline=constant,value=-1", on: problem, [([0], [], 0.5, 2), ([1], [], 0.5, -6.5)])
    // The mean of F is 2.5.
    try HandProblems.expect(
      "reinforce:baseline=uniform-mean", on: problem, [([0], [], 0.5, 0.25), ([1], [], 0.5, -4.75)])
    // b* = 7.5, and nothing is left to vary.
    try HandProblems.expect(
      "reinforce:baseline=optimal", on: problem, [([0], [], 0.5, -2.25), ([1], [], 0.5, -2.25)])
  }

  @Test func baselinesOnACategoricalProblem() throws {
    let problem = try HandProblems.choice()
    try HandProblems.expect("reinforce", on: problem, [([0], [], 0.75, 0.0625), ([1], [], 0.25, -0.9375)])
    try HandProblems.expect(
      "reinforce:baseline=uniform-mean", on: problem, [([0], [], 0.75, -0.125), ([1], [], 0.25, -0.375)])
    // ‖s‖² = 2 q², so b* = (¾ · ¼/16 + ¼ · 1¼ · 9/16)/(¾/16 + ¼ · 9/16) = 1.
    try HandProblems.expect(
      "reinforce:baseline=optimal", on: problem, [([0], [], 0.75, -0.1875), ([1], [], 0.25, -0.1875)])
  }

  @Test func leaveOneOut() throws {
    // h(i, j) = ½(f_i − f_j)(I_i − I_j): 0 on equal draws, else ½ · (−1) · (1, −1).
    try HandProblems.expect(
      "reinforce:baseline=leave-one-out,samples=2", on: HandProblems.choice(),
      [
        ([0, 0], [], 0.5625, 0), ([0, 1], [], 0.1875, -0.5), ([1, 0], [], 0.1875, -0.5),
        ([1, 1], [], 0.0625, 0),
      ])
    // Three draws, one of them different: of the three pairs two differ.
    let third = -1.0 / 3
    try HandProblems.expect(
      "reinforce:baseline=leave-one-out,samples=3", on: HandProblems.choice(),
      [
        ([0, 0, 0], [], 27.0 / 64, 0), ([0, 0, 1], [], 9.0 / 64, third), ([0, 1, 0], [], 9.0 / 64, third),
        ([0, 1, 1], [], 3.0 / 64, third), ([1, 0, 0], [], 9.0 / 64, third), ([1, 0, 1], [], 3.0 / 64, third),
        ([1, 1, 0], [], 3.0 / 64, third), ([1, 1, 1], [], 1.0 / 64, 0),
      ])
  }

  @Test func leaveOneOutOnAMixtureHasTheGatingSamples() throws {
    // Equal draws leave the gating sample c_i (I_i − π) = (1, −1) and (−4, 4); unequal ones half of each and
    // ½(1 − 4)(1, −1).
    try HandProblems.expect(
      "reinforce:baseline=leave-one-out,samples=2", on: HandProblems.parabola(),
      [([0, 0], [], 0.25, 1), ([0, 1], [], 0.25, -3), ([1, 0], [], 0.25, -3), ([1, 1], [], 0.25, -4)],
      multipliers: [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
  }

  @Test func optimalBaselineIsOptimal() throws {
    for problem in TestProblems.standard {
      let best = try EstimatorSpecifications.finite("reinforce:baseline=optimal").outcomes(
        of: problem.problem
      ).moments()
      for other in ["none", "uniform-mean", "constant,value=0.3", "constant,value=-2"] {
        let moments = try EstimatorSpecifications.finite("reinforce:baseline=\(other)").outcomes(
          of: problem.problem
        )
        .moments()
        #expect(best.totalVariance <= moments.totalVariance * (1 + 1e-12), "\(other) on \(problem.name)")
      }
    }
  }

  @Test func moreDrawsVaryLess() throws {
    let problem = try HandProblems.choice()
    let variances = try [2, 3, 4, 8].map {
      try EstimatorSpecifications.finite("reinforce:baseline=leave-one-out,samples=\($0)").outcomes(
        of: problem
      )
      .moments().totalVariance
    }
    #expect(variances == variances.sorted(by: >))
  }

  @Test func evaluations() throws {
    let problem = try HandProblems.parabola()
    for (specification, count) in [
      ("reinforce", 1.0), ("reinforce:baseline=uniform-mean", 2), ("reinforce:baseline=optimal", 2),
      ("reinforce:baseline=leave-one-out,samples=5", 5),
    ] {
      let claims = try EstimatorRegistry.estimator(specification).claims
      #expect(claims.expertEvaluations.count(on: problem) == count, "\(specification)")
    }
  }
}
