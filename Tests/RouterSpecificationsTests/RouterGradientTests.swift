import GSLNumerics
import RoutingCore
import Testing
import _TestSupport

@testable import RouterSpecifications

private let errors = WorstError("router reference against numerical derivatives")

/// The reference's gradients against GSL's adaptive central differences, the choice held.
@Suite(.reporting(errors)) struct RouterGradientTests {
  @Test(.seeded, arguments: RandomSpecifications.list(60, "router gradients"))
  func isTheDerivative(of specification: RouterSpecification) throws {
    let reference = RouterReference(specification)
    var calls = CallGenerator(
      for: RouterProfile(specification), generator: TestSeed.generator("router gradients \(specification.name)"))
    var call = calls.call(tokens: specification.auxiliaryLosses.isEmpty ? 2 : 4)
    call.choice = reference.wanted(by: call) ?? calls.choice(call.tokens)
    try call.validate(for: specification)
    let held = call
    let answer = try #require(reference.answer(to: held))
    let factor = specification.gate?.gradientFactor ?? 1

    func loss(_ call: RouterCall) -> Double {
      let output = reference.answer(to: call)?.output ?? []
      return zip(call.upstream.joined(), output.joined()).reduce(0) { $0 + $1.0 * $1.1 }
    }
    func auxiliaryLoss(_ call: RouterCall) -> Double { reference.answer(to: call)?.auxiliaryLoss ?? .nan }
    for t in 0..<held.tokens {
      let isOnInput = specification.noise?.kind == .uniformInput && specification.noise?.reachesGates == true
      for i in 0..<specification.experts {
        func moved(_ x: Double) -> RouterCall {
          var call = held
          call.logits[t][i] = x
          return call
        }
        // Noise on the input: the answer's gradient is that of z = u θ.
        let width = specification.noise?.width ?? 0
        let chain = isOnInput ? 1 - width + 2 * width * held.uniforms[t][i] : 1
        try expect(
          answer.gradient?[t][i], factor / chain, "gradient", specification, at: held.logits[t][i]
        ) { loss(moved($0)) }
        if answer.auxiliaryGradient != nil, !isOnInput, specification.noise?.reachesGates != false, factor == 1 {
          try expect(answer.auxiliaryGradient?[t][i], 1, "auxiliary gradient", specification, at: held.logits[t][i]) {
            auxiliaryLoss(moved($0))
          }
        }
        if let nu = held.noiseLogits {
          try expect(answer.noiseGradient?[t][i], factor, "noise gradient", specification, at: nu[t][i]) { x in
            var call = held
            call.noiseLogits?[t][i] = x
            return loss(call)
          }
        }
      }
    }
  }

  private func expect(
    _ found: Double?, _ factor: Double, _ quantity: String, _ specification: RouterSpecification, at x: Double,
    _ f: @escaping (Double) -> Double
  ) throws {
    let result = try derivative(of: f, at: x, step: 1e-4)
    let value = try #require(found)
    let size = max(1, f(x).magnitude, value.magnitude)
    errors.record((value - factor * result.value) / size, of: quantity, at: specification.name)
    expectClose(
      value, factor * result.value, within: 1e-9 * size + 2 * factor * result.error,
      "\(quantity) of \(specification)")
  }
}
