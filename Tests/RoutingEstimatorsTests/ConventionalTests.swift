import RoutingEstimators
import Testing

@Suite struct ConventionalTests {
  @Test func byHand() throws {
    // Weights π_D · slope = (2, 8).
    try HandProblems.expect(
      "conventional", on: HandProblems.parabola(), [([0], [], 0.5, 1), ([1], [], 0.5, -4)],
      multipliers: [[0.5], [0.5]])
  }

  @Test func needsAMixture() throws {
    try HandProblems.expectUnavailable("conventional", on: HandProblems.choice(), "needs a mixture problem")
  }
}
