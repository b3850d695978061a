import RoutingCore
import RoutingEstimators
import Testing

@Suite struct DefaultMoETests {
  @Test func byHand() throws {
    // The stand-ins are 1 and 2 once scaled. k = 1: y = ½·2 + ½·2, both slopes 8.
    try HandProblems.expect(
      "default-moe", on: HandProblems.parabola(), [([0], [], 1, 0)], multipliers: [[0.5]])
    // k = 2: y = −1, G' = −2, slopes (−4, 8).
    try HandProblems.expect(
      "default-moe:k=2", on: HandProblems.parabola(), [([0, 1], [], 1, -3)], multipliers: [[0.5, 0.5]])
  }

  @Test func choosesTheLargestLogits() throws {
    let problem = try RoutedProblem(
      .mixture(
        try MixtureProblem(
          logits: [1, 3, 2, 3], expertOutputs: [[1], [2], [3], [4]], standIns: [[0], [0], [0], [0]],
          loss: try Linear(coefficients: [1]))))
    #expect(try DefaultMoE(k: 3).outcomes(of: problem).outcomes[0].choice == [1, 3, 2])
  }

  @Test func unavailable() throws {
    let bare = try RoutedProblem(
      .mixture(
        try MixtureProblem(logits: [0, 1], expertOutputs: [[1], [2]], loss: try Linear(coefficients: [1]))))
    try HandProblems.expectUnavailable("default-moe", on: bare, "needs defaultOutputs")
    try HandProblems.expectUnavailable("default-moe:k=3", on: HandProblems.parabola(), "needs 3 experts")
    try HandProblems.expectUnavailable("default-moe", on: HandProblems.choice(), "needs a mixture problem")
  }
}
