import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@Suite struct ReinMaxTests {
  @Test func byHand() throws {
    // ½(π + I_0) = (7/8, 1/8): 2·7/64 − ½·3/16 = 1/8; ½(π + I_1) = (3/8, 5/8): 2·15/64 − ½·3/16 = 3/8, times
    // −3.
    try HandProblems.expect(
      "reinmax", on: HandProblems.choice(), [([0], [], 0.75, 1.0 / 8), ([1], [], 0.25, -9.0 / 8)])
  }

  @Test func temperatureEntersTheFirstTermOnly() throws {
    // softmax(θ/½) = (0.9, 0.1): (0.95, 0.05) and (0.45, 0.55); no factor 1/τ.
    let first = 2 * 0.95 * 0.05 - 0.5 * 3.0 / 16
    let second = 2 * 0.45 * 0.55 - 0.5 * 3.0 / 16
    try HandProblems.expect(
      "reinmax:tau=0.5", on: HandProblems.choice(), [([0], [], 0.75, first), ([1], [], 0.25, -3 * second)])
  }

  @Test func meanIsExactForAQuadratic() throws {
    let problem = try HandProblems.choice()
    expectClose(
      try ReinMax().outcomes(of: problem).moments().mean, [-3.0 / 16, 3.0 / 16], relative: 1e-14)
  }

  @Test func claims() {
    #expect(ReinMax().claims.exactness == .degree(2) && ReinMax().claims.order == 2)
    #expect(ReinMax(temperature: 1.3).claims.exactness == .none)
  }
}
