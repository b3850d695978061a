import RoutingEstimators
import Testing

@Suite struct ExactTests {
  @Test func byHand() throws {
    try HandProblems.expect("exact", on: HandProblems.parabola(), [([], [], 1, -2.25)], multipliers: [[]])
    try HandProblems.expect("exact", on: HandProblems.choice(), [([], [], 1, -3.0 / 16)])
  }
}
