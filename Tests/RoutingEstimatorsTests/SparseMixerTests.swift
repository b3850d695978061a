import RoutingEstimators
import Testing

@Suite struct SparseMixerTests {
  @Test func argmaxFlipsNoCoin() throws {
    try HandProblems.expect(
      "sparsemixer", on: HandProblems.parabola(),
      [([0], [1], 0.5, 2), ([1], [0], 0.25, -4), ([1], [1], 0.25, -8)], multipliers: [[0.5], [0.25], [0.5]])
  }
}
