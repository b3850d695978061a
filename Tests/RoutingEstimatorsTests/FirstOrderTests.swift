import RoutingEstimators
import Testing

@Suite struct FirstOrderTests {
  @Test func isTwiceConventional() throws {
    try HandProblems.expect(
      "first-order", on: HandProblems.parabola(), [([0], [], 0.5, 2), ([1], [], 0.5, -8)],
      multipliers: [[0.5], [0.5]])
  }
}
