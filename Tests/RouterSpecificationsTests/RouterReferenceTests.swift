import RouterSpecifications
import RoutingCore
import Testing
import _TestSupport

private let errors = WorstError("router reference against autograd")

/// The reference router against PyTorch's autograd, in every field of the answer.
@Suite(.reporting(errors)) struct RouterReferenceTests {
  @Test func fixtureIsThere() { #expect(RouterFixture.autograd.count >= 158) }

  @Test(arguments: RouterFixture.autograd)
  func agreesWithAutograd(_ fixture: RouterFixture) throws {
    let (expected, call) = (fixture.answer, fixture.call)
    let name = fixture.specification.name
    let answer = try #require(RouterReference(fixture.specification).answer(to: call))
    #expect(answer.choice == expected.choice, "\(name)")
    let comparison = AnswerComparison(of: fixture.specification, tolerance: 0)
    func compare(_ found: [[Double]]?, _ other: [[Double]]?, _ quantity: String, scale: (Int) -> Double = { _ in 0 }) {
      #expect((found == nil) == (other == nil) || found == nil, "\(name): \(quantity)")
      for (t, (a, b)) in zip(found ?? [], other ?? []).enumerated() {
        expectClose(
          a, b, relative: 1e-12, scale: scale(t), to: errors, quantity: quantity, "\(name), token \(t)")
      }
    }
    compare(answer.multipliers, expected.multipliers, "multipliers")
    compare(answer.output, expected.output, "output") { _ in 1 }
    compare(answer.gradient, expected.gradient, "gradient") { comparison.gradientScale(expected, call, token: $0) }
    compare(answer.noiseGradient ?? [], expected.noiseGradient ?? [], "noise gradient") {
      comparison.gradientScale(expected, call, token: $0)
    }
    compare(answer.auxiliaryLoss.map { [[$0]] }, expected.auxiliaryLoss.map { [[$0]] }, "auxiliary loss")
    compare(answer.auxiliaryGradient, expected.auxiliaryGradient, "auxiliary gradient") { _ in
      fixture.specification.auxiliaryLosses.reduce(0) { $0 + $1.coefficient }
    }
    compare(answer.biasAfter.map { [$0] }, expected.biasAfter.map { [$0] }, "bias")
  }
}
