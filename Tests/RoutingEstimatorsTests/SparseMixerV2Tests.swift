import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@Suite struct SparseMixerV2Tests {
  @Test func byHand() throws {
    // Weights π_D · slope: 2 for the argmax; 8/3 at ⅓ with ¾ (coin 0), 8 at 1 with ¼ (coin 1).
    try HandProblems.expect(
      "sparsemixer-v2", on: HandProblems.parabola(),
      [([0], [1], 0.5, 1), ([1], [0], 0.375, -4.0 / 3), ([1], [1], 0.125, -4)],
      multipliers: [[0.5], [0.5 / 3], [0.5]])
  }

  @Test func referenceConstants() throws {
    let third = Double(Float(0.3333))
    #expect(third != 0.3333 && third != 1.0 / 3)
    try HandProblems.expect(
      "sparsemixer-v2:reference-constants=true", on: HandProblems.parabola(),
      [([0], [1], 0.5, 1), ([1], [0], 0.375, -4 * third), ([1], [1], 0.125, -4)],
      multipliers: [[0.5], [0.5 * third], [0.5]])
  }
}
