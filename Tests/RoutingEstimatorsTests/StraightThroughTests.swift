import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@Suite struct StraightThroughTests {
  @Test func byHand() throws {
    // J(π) = 3/16 (1 −1; −1 1), and ∇f differs by 1 and by −3.
    try HandProblems.expect(
      "straight-through", on: HandProblems.choice(),
      [([0], [], 0.75, 3.0 / 16), ([1], [], 0.25, -9.0 / 16)])
    // τ = ½ makes the softmax (0.9, 0.1), and the factor 1/τ is 2.
    try HandProblems.expect(
      "straight-through:tau=0.5", on: HandProblems.choice(), [([0], [], 0.75, 0.18), ([1], [], 0.25, -0.54)])
  }

  @Test func onAMixture() throws {
    // ∂F/∂D = G'(y)(π_j f_j) = 2·(1, −2) and −4·(1, −2); J = ¼: ¼·6 + 1 and −¼·12 − 4, the second terms the
    // gating samples.
    try HandProblems.expect(
      "straight-through", on: HandProblems.parabola(), [([0], [], 0.5, 2.5), ([1], [], 0.5, -7)],
      multipliers: [[0.5], [0.5]])
  }

  @Test func claims() throws {
    #expect(StraightThrough().claims.exactness == .degree(1) && StraightThrough().claims.order == 1)
    #expect(StraightThrough(temperature: 2).claims.exactness == .none)
    #expect(try StraightThrough().claims.expertEvaluations.count(on: HandProblems.choice()) == 1)
    #expect(try StraightThrough().claims.expertEvaluations.count(on: HandProblems.parabola()) == 2)
  }
}
