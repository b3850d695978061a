import RoutingEstimators
import Testing

@Suite struct MidpointTests {
  @Test func byHand() throws {
    // Weights π_D · 2 · slope: at ½ (2, 8), at 1 (4, 16). Heads (coin 0) the output is halved.
    try HandProblems.expect(
      "midpoint", on: HandProblems.parabola(),
      [([0], [0], 0.25, 1), ([0], [1], 0.25, 2), ([1], [0], 0.25, -4), ([1], [1], 0.25, -8)],
      multipliers: [[0.25], [0.5], [0.25], [0.5]])
  }
}
