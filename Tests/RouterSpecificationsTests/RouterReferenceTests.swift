import RoutingCore
import Testing
import _TestSupport

@testable import RouterSpecifications

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

/// What the fixture has no case for.
@Suite struct RouterReferenceCaseTests {
  private func call(_ logits: [Double], bias: [Double]? = nil) -> RouterCall {
    var call = RouterCall(
      logits: [logits], expertOutputs: [logits.map { [$0 + 1] }], upstream: [[1]], uniforms: [[]])
    call.bias = bias
    return call
  }

  @Test func someExpertsAreAlwaysChosen() throws {
    let specification = RouterSpecification(
      name: "always", experts: 5, score: .init(.sigmoid), hasSelectionBias: true, selection: .topK(1), alwaysChosen: 2,
      gate: .init(.score, isNormalized: true))
    try specification.validate()
    let answer = try #require(
      RouterReference(specification).answer(to: call([0, 1, 2, -3, 9], bias: [0, 4, 0, 8, -8])))
    #expect(answer.choice == [[1, 3, 4]])
    let scores = [1.0, -3, 9].map { sigmoid($0) }
    expectClose(answer.multipliers[0], scores.map { $0 / scores.reduce(0, +) }, relative: 1e-15)
    var wrong = specification
    wrong.selection = .sampled(1)
    #expect(throws: InvalidInput("selection.always", "expected none but with top-k")) { try wrong.validate() }
  }

  @Test func sumsBelowZeroAreDividedByWhereThereIsNoFloor() throws {
    var specification = RouterSpecification(
      name: "negative", experts: 3, score: .init(.identity), selection: .topK(2),
      gate: .init(.score, isNormalized: true))
    let negative = call([-1, -3, -4])
    let answer = try #require(RouterReference(specification).answer(to: negative))
    #expect(answer.multipliers == [[0.25, 0.75]])
    specification.gate?.floor = 0.5
    #expect(RouterReference(specification).answer(to: negative)?.multipliers == [[-2, -6]])
  }
}
