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

  @Test func decoupledDrawsAtAnotherTemperature() throws {
    // softmax(θ/½) = (0.9, 0.1) is what is drawn from, the samples are the plain ones.
    try HandProblems.expect(
      "straight-through:tau=1,draw-tau=0.5", on: HandProblems.choice(),
      [([0], [], 0.9, 3.0 / 16), ([1], [], 0.1, -9.0 / 16)])
    #expect(throws: Unavailable.self) {
      try StraightThrough(drawTemperature: 0.5).outcomes(of: HandProblems.parabola())
    }
  }

  /// On the loss of the tempered draws it is the plain estimator of the logits θ/τ_f with τ = τ_b/τ_f, its result over τ_f.
  @Test(arguments: [0.5, 1.5], [0.7, 1.0, 2.0])
  func decoupledIsPlainOnScaledLogits(draw: Double, backward: Double) throws {
    let (logits, targets) = ([0.4, -1.1, 0.9, 0.2], [0.3, -0.2, 0.5, 0.1])
    let cubic = try SeparablePower(exponent: 3, targets: targets)
    func problem(_ factor: Double) throws -> RoutedProblem {
      try RoutedProblem(.categorical(CategoricalProblem(logits: logits.map { $0 / factor }, objective: cubic)))
    }
    let decoupled = try StraightThrough(temperature: backward, drawTemperature: draw).outcomes(of: problem(1))
    let plain = try StraightThrough(temperature: backward / draw).outcomes(of: problem(draw))
    for place in decoupled.outcomes.indices {
      let (a, b) = (decoupled.outcomes[place], plain.outcomes[place])
      #expect(a.choice == b.choice && (a.probability - b.probability).magnitude <= 1e-15)
      for (x, y) in zip(decoupled.gradient(at: place), plain.gradient(at: place)) {
        #expect((x - y / draw).magnitude <= 1e-14)
      }
    }
  }

  @Test func claims() throws {
    #expect(StraightThrough(drawTemperature: 2).claims.kinds == [.categorical])
    #expect(StraightThrough(drawTemperature: 2).specification == "straight-through:tau=1,draw-tau=2")
    #expect(StraightThrough().specification == "straight-through:tau=1")
    #expect(StraightThrough().claims.exactness == .degree(1) && StraightThrough().claims.order == 1)
    #expect(StraightThrough(temperature: 2).claims.exactness == .none)
    #expect(try StraightThrough().claims.expertEvaluations.count(on: HandProblems.choice()) == 1)
    #expect(try StraightThrough().claims.expertEvaluations.count(on: HandProblems.parabola()) == 2)
  }
}
