import RoutingEstimators
import Testing

@Suite struct DenseBackwardTests {
  @Test func byHand() throws {
    // D = 0: G' = 2, slopes (4, −8); D = 1: G' = −4, slopes (−8, 16); J = ¼ of the difference.
    try HandProblems.expect(
      "dense-backward", on: HandProblems.parabola(), [([0], [], 0.5, 3), ([1], [], 0.5, -6)],
      multipliers: [[0.5], [0.5]])
  }

  @Test func needsAMixture() throws {
    try HandProblems.expectUnavailable("dense-backward", on: HandProblems.choice(), "needs a mixture problem")
  }
}
