import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@Suite struct SparseMixerV2Top2Tests {
  @Test func byHand() throws {
    // The second draw is certain, and being the argmax of one flips no coin and has no score. (0, 1): y = 1 −
    // 4, G' = −6: ½ · (−6 · 2) on expert 0. (1, 0), coin 0: y = −4/6 + 2, G' = 8/3: ½ · (8/3 · −4) on expert
    // 1; coin 1: y = −2 + 2, G' = 0.
    try HandProblems.expect(
      "sparsemixer-v2-top2", on: HandProblems.parabola(),
      [([0, 1], [1, 1], 0.5, -3), ([1, 0], [0, 1], 0.375, 8.0 / 3), ([1, 0], [1, 1], 0.125, 0)],
      multipliers: [[0.5, 1], [0.5 / 3, 1], [0.5, 1]])
  }

  @Test func needsTwoExperts() throws {
    let one = try RoutedProblem(
      .mixture(try MixtureProblem(logits: [1], expertOutputs: [[1]], loss: try Linear(coefficients: [1]))))
    try HandProblems.expectUnavailable("sparsemixer-v2-top2", on: one, "needs two experts")
  }

  @Test func secondDrawIgnoresTheFirstMask() throws {
    let problem = try RoutedProblem(
      .mixture(
        try MixtureProblem(
          logits: [5, 1, 0.9], expertOutputs: [[1], [2], [3]], loss: try Linear(coefficients: [1]))),
      mask: .paper(threshold: 0.1))
    let outcomes = try SparseMixerV2Top2().outcomes(of: problem).outcomes
    #expect(outcomes.map(\.choice) == [[0, 1], [0, 2], [0, 2]])
    #expect(outcomes.map(\.coins) == [[1, 1], [1, 0], [1, 1]])
  }
}
