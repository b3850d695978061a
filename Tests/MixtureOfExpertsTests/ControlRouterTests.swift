import CStandardLibrary
import GSLNumerics
import LayerTensors
import MixtureOfExperts
import RoutingCore
import Testing
import _TestSupport

/// The controls of a comparison: what they compute, and what their logits get.
@Suite(.seeded) struct ControlRouterTests {
  private static let shape = LayerShape(experts: 4, inputs: 5, hidden: 6, outputs: 3, activation: .silu, scale: true)
  private static let seed: UInt64 = 4

  private func trained(_ router: any TokenRouter, _ options: LayerOptions = LayerOptions()) throws -> LayerCase<Double>
  {
    let layer = try LayerCase<Double>.random(Self.shape, router: router, options: options, tokens: 24, name: "controls")
    _ = try layer.loss(LayerRandomness(seed: Self.seed))
    layer.differentiate()
    return layer
  }

  private func logits(_ layer: LayerCase<Double>, _ t: Int) -> [Double] {
    Array(layer.workspace.routerLogits[4 * t..<4 * t + 4])
  }

  /// The jitter of a token, which its stream of random numbers begins with.
  private func factors(_ t: Int, r: Double) -> [Double] {
    var random = Philox(seed: Self.seed, stream: UInt64(t))
    return (0..<4).map { _ in 1 + r * (2 * random.nextOpenUnit() - 1) }
  }

  private func softmax(_ logits: [Double]) -> [Double] {
    let largest = logits.reduce(-.infinity) { max($0, $1) }
    let weights = logits.map { exp($0 - largest) }
    return weights.map { $0 / weights.reduce(0, +) }
  }

  @Test(arguments: [0.0, 0.2])
  func gateOneIsTheDerivativeOfARatioOfGates(r: Double) throws {
    let layer = try trained(GateOneRouter(jitter: .logits(r)))
    var shares = Set<Int>()
    for t in 0..<layer.tokens {
      let (own, u) = (logits(layer, t), factors(t, r: r))
      let now = softmax(zip(own, u).map { $0 * $1 })
      let chosen = layer.workspace.choice[t]
      shares.insert(chosen)
      #expect(now[chosen] == now.max() && layer.workspace.multiplier[t] == 1)
      let output = (0..<3).map { Double(layer.workspace.output[t, $0]) }
      for k in 0..<4 {
        let slope = try derivative(
          of: { x in
            var moved = own
            moved[k] = x
            let gate = self.softmax(zip(moved, u).map { $0 * $1 })[chosen] / now[chosen]
            return layer.losses[t].value(at: output.map { gate * $0 })
          }, at: own[k], step: 1e-4)
        expectClose(
          layer.workspace.routerLogitGradients[4 * t + k], slope.value, within: 1e-9 + 10 * slope.error,
          "token \(t), expert \(k)")
      }
    }
    #expect(shares.count > 1)
  }

  /// Forward and experts' gradients are Switch's, the logits' those of the auxiliary losses alone.
  @Test func noneGetsNothingOfTheLoss() throws {
    let (none, conventional) = (try trained(LossFreeRouter()), try trained(SwitchRouter()))
    #expect(none.workspace.output.values == conventional.workspace.output.values)
    for (a, b) in zip(none.pairs, conventional.pairs) where a.name.hasPrefix("experts") || a.name == "scale" {
      #expect(a.gradient.values == b.gradient.values && a.gradient.values.contains { $0 != 0 }, "\(a.name)")
    }
    #expect(none.gradients.router.values.allSatisfy { $0 == 0 })
    #expect(conventional.gradients.router.values.contains { $0 != 0 })
  }

  @Test func noneIsTrainedByAuxiliaryLosses() throws {
    let layer = try trained(LossFreeRouter(), LayerOptions(loadBalance: 0.3, zLoss: 0.1))
    let weights = layer.parameters.router
    for k in 0..<weights.count {
      let value = weights.elements[k]
      let numerical = try derivative(
        of: { x in
          weights.elements[k] = x
          defer { weights.elements[k] = value }
          let losses = try? layer.layer.forward(
            layer.input.elements, tokens: layer.tokens, parameters: layer.parameters, workspace: layer.workspace,
            randomness: LayerRandomness(seed: Self.seed))
          return losses?.sum ?? .nan
        }, at: value, step: 1e-4)
      expectClose(layer.gradients.router.elements[k], numerical.value, within: 1e-9 + 10 * numerical.error, "\(k)")
    }
  }

  /// Dense back-propagation: `u ⊙ Σ_i c_i ∂g_i/∂θ`, of gates that are ratios and of Switch's.
  @Test func denseGradientsAreThoseOfTheGates() throws {
    let slopes: [Double] = (0..<96).map { Double($0 * 37 % 19) / 7 - 1.2 }
    let (ratios, none) = (try trained(GateOneRouter()), try trained(LossFreeRouter()))
    let (ofRatios, ofNone) = (
      ratios.workspace.denseGradients(of: ratios.layer.router, slopes: slopes),
      none.workspace.denseGradients(of: none.layer.router, slopes: slopes)
    )
    for t in 0..<24 {
      let u = factors(t, r: 0.1)
      let p = softmax(zip(logits(ratios, t), u).map { $0 * $1 })
      let c = Array(slopes[4 * t..<4 * t + 4])
      for k in 0..<4 {
        let ratio = u[k] * (c[k] - p[k] * c.reduce(0, +))
        let gates = u[k] * p[k] * (c[k] - zip(p, c).reduce(0) { $0 + $1.0 * $1.1 })
        expectClose(ofRatios[4 * t + k], ratio, within: 1e-13)
        expectClose(ofNone[4 * t + k], gates, within: 1e-13)
      }
    }
  }
}
