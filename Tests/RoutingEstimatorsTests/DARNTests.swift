import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@Suite struct DARNTests {
  @Test func byHand() throws {
    // ∇f differs by 1 at the first one-hot and by −3 at the second: weights ¼·1 and −¾·−3, times (¼, −¼) and (−¾, ¾).
    try HandProblems.expect(
      "darn", on: HandProblems.choice(), [([0], [], 0.75, 1.0 / 16), ([1], [], 0.25, -27.0 / 16)])
  }

  @Test func onAMixture() throws {
    // g = (2, −4) and (−4, 8): weights ½(2 + 4) + 2 and ½(8 + 4) + 8, c_D = π_D G'·f_D being 2 and 8; times ±½.
    try HandProblems.expect(
      "darn", on: HandProblems.parabola(), [([0], [], 0.5, 2.5), ([1], [], 0.5, -7)], multipliers: [[0.5], [0.5]])
  }

  /// Its bias on a quadratic is that of straight-through with the other sign.
  @Test func biasMirrorsStraightThrough() throws {
    let problem = try HandProblems.choice()
    let (darn, straight) = (
      try DARN().outcomes(of: problem).moments().mean, try StraightThrough().outcomes(of: problem).moments().mean
    )
    let exact = [-3.0 / 16, 3.0 / 16]
    for k in 0..<2 { #expect((darn[k] + straight[k] - 2 * exact[k]).magnitude <= 1e-15) }
    #expect((darn[0] - exact[0]).magnitude > 0.1)
  }

  @Test func claims() {
    #expect(DARN().claims.exactness == .degree(1) && DARN().claims.order == 1)
  }
}
