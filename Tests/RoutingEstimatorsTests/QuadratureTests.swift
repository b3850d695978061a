import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@Suite struct QuadratureTests {
  @Test func simpsonByHand() throws {
    // Slopes 0, 2, 4 (times 1 and 4): Simpson's mean 2 and 8, plus the slope at 1; times π: (3, 12), the
    // exact weights.
    try HandProblems.expect(
      "quadrature:rule=simpson,evaluation=all-nodes", on: HandProblems.parabola(),
      [([0], [], 0.5, 1.5), ([1], [], 0.5, -6)], multipliers: [[0.5], [0.5]])
    // β = ⅙, ⅔, 7/6, their sum 2: probabilities 1/12, ⅓, 7/12 and weights 2 · π · slope.
    try HandProblems.expect(
      "quadrature:rule=simpson,evaluation=one-node", on: HandProblems.parabola(),
      [
        ([0], [0], 1.0 / 24, 0), ([0], [1], 1.0 / 6, 1), ([0], [2], 7.0 / 24, 2),
        ([1], [0], 1.0 / 24, 0), ([1], [1], 1.0 / 6, -4), ([1], [2], 7.0 / 24, -8),
      ], multipliers: [[0], [0.25], [0.5], [0], [0.25], [0.5]])
  }

  @Test func negativeWeightsAreFlipped() throws {
    // rkf5: β = 16/135, 6656/12825, 28561/56430, −9/50 + 1, 2/55; node 3 is c = 1, and stays positive.
    let outcomes = try EstimatorSpecifications.finite("quadrature:rule=rkf4,evaluation=one-node")
      .outcomes(of: HandProblems.parabola())
    // β of rkf4: 25/216, 1408/2565, 2197/4104, −1/5 + 1: all positive, sum 2.
    expectClose(
      outcomes.outcomes.map(\.probability),
      [25.0 / 216, 1408.0 / 2565, 2197.0 / 4104, 0.8].map { $0 / 4 }
        + [25.0 / 216, 1408.0 / 2565, 2197.0 / 4104, 0.8].map { $0 / 4 }, relative: 1e-15)
  }

  @Test func oneNodeEulerIsFirstOrder() throws {
    for problem in TestProblems.standard where problem.problem.kind == .mixture {
      let euler = try EstimatorSpecifications.finite("quadrature:rule=euler,evaluation=one-node")
        .outcomes(of: problem.problem)
      let firstOrder = try FirstOrder().outcomes(of: problem.problem)
      #expect(euler.outcomes.map(\.gradient) == firstOrder.outcomes.map(\.gradient))
      let midpoint = try EstimatorSpecifications.finite("quadrature:rule=midpoint,evaluation=one-node")
        .outcomes(of: problem.problem).moments()
      let named = try Midpoint().outcomes(of: problem.problem).moments()
      expectClose(midpoint.mean, named.mean, relative: 1e-14)
      expectClose(midpoint.variance, named.variance, relative: 1e-14)
    }
  }

  @Test func bothWaysHaveOneMean() throws {
    for rule in ["euler", "midpoint", "heun3", "simpson", "rkf4", "rkf5", "gauss-legendre"] {
      for problem in TestProblems.standard where problem.problem.kind == .mixture {
        let moments = try ["all-nodes", "one-node"].map {
          try EstimatorSpecifications.finite("quadrature:rule=\(rule),evaluation=\($0)").outcomes(
            of: problem.problem
          )
          .moments()
        }
        expectClose(
          moments[1].mean, moments[0].mean, relative: 1e-12, scale: moments[0].totalVariance.squareRoot())
        #expect(moments[1].totalVariance >= moments[0].totalVariance * (1 - 1e-12))
      }
    }
  }

  @Test func claims() throws {
    let evaluations: [(String, Double)] = [
      ("euler", 1), ("midpoint", 2), ("heun3", 2), ("simpson", 3), ("rkf4", 4), ("rkf5", 5),
      ("gauss-legendre", 4),
    ]
    for (rule, count) in evaluations {
      let all = try EstimatorRegistry.estimator("quadrature:rule=\(rule)").claims
      #expect(all.expertEvaluations == .constant(count), "\(rule)")
      #expect(
        try EstimatorRegistry.estimator("quadrature:rule=\(rule),evaluation=one-node").claims
          .expertEvaluations
          == .constant(1))
      guard let order = all.order else { continue }
      #expect(all.exactness == .degree(order))
    }
    #expect(try EstimatorRegistry.estimator("quadrature:points=7").claims.order == 14)
  }
}
