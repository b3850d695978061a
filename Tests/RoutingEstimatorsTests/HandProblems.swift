import CStandardLibrary
import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

/// Problems small enough to be solved in a comment.
enum HandProblems {
  /// π = (½, ½), argmax 0; rays 2 and −4; `G(y) = y²`. So F = (1, 4), the slopes at c are c·(4, 16), and the
  /// gating weights (2, 8): `∇ = J(π)(3, 12) = (−2.25, 2.25)`. A score outcome of weight w is `±(w/2, −w/2)`.
  static func parabola() throws -> RoutedProblem {
    try RoutedProblem(
      .mixture(
        try MixtureProblem(
          logits: [0, 0], expertOutputs: [[4], [-8]], scale: [0.5], standIns: [[2], [4]],
          loss: try Quadratic(matrix: [[2]], linear: [0]))))
  }

  /// π = (¾, ¼), `f(z) = (z_0 − ½)² + z_1²`: f = (¼, 1¼), ∇f = (1, 0) and (−1, 2), `∇ = (−3/16, 3/16)`.
  static func choice() throws -> RoutedProblem {
    try RoutedProblem(
      .categorical(
        try CategoricalProblem(
          logits: [log(3), 0], objective: try SeparablePower(exponent: 2, targets: [0.5, 0]))))
  }

  /// The first coordinates of the outcomes' gradients (the second is minus the first), as (choice, coins,
  /// probability, coordinate), compared to rounding.
  static func expect(
    _ specification: String, on problem: RoutedProblem, _ expected: [([Int], [Int], Double, Double)],
    multipliers: [[Double]]? = nil, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let outcomes = try EstimatorSpecifications.finite(specification).outcomes(of: problem)
    let all = try outcomes.enumerated()
    try #require(all.count == expected.count, sourceLocation: sourceLocation)
    for (k, outcome) in all.enumerated() {
      let (choice, coins, probability, coordinate) = expected[k]
      #expect(outcome.choice == choice && outcome.coins == coins, sourceLocation: sourceLocation)
      expectClose(
        outcome.probability, probability, within: 4e-16, "\(choice) \(coins)", sourceLocation: sourceLocation)
      expectClose(
        outcomes.gradient(of: outcome), [coordinate, -coordinate], relative: 4e-15, scale: 1,
        "\(choice) \(coins)",
        sourceLocation: sourceLocation)
      if let multipliers {
        expectClose(outcome.multiplier ?? [], multipliers[k], relative: 1e-15, sourceLocation: sourceLocation)
      } else {
        #expect((outcome.multiplier == nil) == (problem.kind == .categorical), sourceLocation: sourceLocation)
      }
    }
  }

  /// Expects the estimator to be undefined on a problem, for this reason.
  static func expectUnavailable(
    _ specification: String, on problem: RoutedProblem, _ reason: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let estimator = try EstimatorSpecifications.finite(specification)
    #expect(throws: Unavailable(reason), sourceLocation: sourceLocation) {
      try estimator.outcomes(of: problem)
    }
  }
}
