import LayerTensors
import MixtureOfExperts
import RoutingCore
import Testing
import _TestSupport

/// What each router promises of its choices and multipliers.
@Suite(.seeded) struct RouterRuleTests {
  private static let shape = LayerShape(experts: 6, inputs: 5, hidden: 7, outputs: 5, routerBias: true)
  private static let tokens = 64

  private func routed(
    _ router: any TokenRouter, options: LayerOptions = LayerOptions(), seed: UInt64 = 2, isTraining: Bool = true
  ) throws -> LayerCase<Double> {
    let layer = try LayerCase<Double>.random(
      Self.shape, router: router, options: options, tokens: Self.tokens, name: "rules")
    _ = try layer.loss(isTraining ? LayerRandomness(seed: seed) : nil)
    return layer
  }

  private func logits(_ layer: LayerCase<Double>, _ t: Int) -> [Double] {
    Array(layer.workspace.routerLogits[t * 6..<(t + 1) * 6])
  }

  @Test("gshard: two gates that sum to one, the second kept with probability min(1, 2g₂)")
  func gshard() throws {
    let (layer, evaluated) = (try routed(GShardRouter()), try routed(GShardRouter(), isTraining: false))
    var dropped = 0
    for t in 0..<Self.tokens {
      let order = logits(layer, t).enumerated().sorted { $0.element > $1.element }.map(\.offset)
      let (a, b) = (order[0], order[1])
      #expect(Array(evaluated.workspace.choice[2 * t..<2 * t + 2]) == [a, b])
      let gates = Array(evaluated.workspace.multiplier[2 * t..<2 * t + 2])
      expectClose(gates[0] + gates[1], 1, ulps: 2)
      let p = Array(layer.workspace.routingProbabilities[6 * t..<6 * t + 6])
      expectClose(gates[0], p[a] / (p[a] + p[b]), ulps: 4)
      // The token's stream has one number to say whether the second is kept.
      var random = Philox(seed: 2, stream: UInt64(t))
      let isKept = random.nextOpenUnit() < 2 * gates[1]
      #expect(Array(layer.workspace.choice[2 * t..<2 * t + 2]) == [a, isKept ? b : -1])
      if !isKept { dropped += 1 }
    }
    #expect(dropped > 0 && dropped < Self.tokens)
  }

  @Test("gshard: under a capacity first choices come before second ones")
  func gshardCapacity() throws {
    let layer = try routed(
      GShardRouter(), options: LayerOptions(residual: true, capacityFactor: 0.6), isTraining: false)
    let limit = Int((Double(Self.tokens * 2) / 6 * 0.6).rounded(.up))
    #expect(layer.workspace.loads.allSatisfy { $0 <= limit } && layer.workspace.dropped > 0)
    for i in 0..<6 {
      let wanted = (0..<Self.tokens).filter { t in
        let own = logits(layer, t)
        return own[i] == own.max()
      }
      let served = wanted.filter { layer.workspace.choice[2 * $0] == i }
      #expect(served == Array(wanted.prefix(limit)), "expert \(i)")
      let second = (0..<Self.tokens).count { layer.workspace.choice[2 * $0 + 1] == i }
      #expect(second <= limit - served.count, "expert \(i)")
    }
  }

  @Test("base: loads differ by at most one in training; at evaluation each token takes its best")
  func base() throws {
    let loads = try routed(BaseRouter()).workspace.loads
    #expect((loads.max() ?? 0) - (loads.min() ?? 0) <= 1 && loads.reduce(0, +) == Self.tokens)
    let evaluated = try routed(BaseRouter(), isTraining: false)
    for t in 0..<Self.tokens {
      let own = logits(evaluated, t)
      #expect(own[evaluated.workspace.choice[t]] == own.max())
    }
  }

  @Test("masks: no draw leaves the mask, and its probabilities are zero outside", arguments: 0..<7)
  func masks(_ index: Int) throws {
    let masks: [Mask] = [.paper(threshold: 0.3), .referenceCode(threshold: 0.1)]
    for mask in masks {
      let routers: [any TokenRouter] = [
        MaskedSwitchRouter(mask: mask), SparseMixerRouter(mask: mask), SparseMixerV2Router(mask: mask),
        SparseMixerV2Top2Router(mask: mask), ReinforceRouter(mask: mask), DenseBackwardRouter(mask: mask),
        ExactRouter(mask: mask),
      ]
      let layer = try routed(routers[index])
      let slots = routers[index].slots(experts: 6)
      var masked = 0
      for t in 0..<Self.tokens {
        let own = logits(layer, t)
        let largest = own.max() ?? 0
        for i in 0..<6 where !mask.keeps(own[i], largest: largest) {
          masked += 1
          #expect(layer.workspace.routingProbabilities[6 * t + i] == 0)
          #expect(layer.workspace.choice[t * slots] != i)
        }
      }
      #expect(masked > 0)
    }
  }

  @Test("the argmax rule: with it the most probable expert is never shortened; without it as often as the others")
  func argmaxRule() throws {
    let output = { (layer: LayerCase<Double>, t: Int) in
      layer.workspace.multiplier[t] / layer.workspace.routingProbabilities[6 * t + layer.workspace.choice[t]]
    }
    for (router, short) in [
      (SparseMixerRouter(mask: .none) as any TokenRouter, 0.5), (SparseMixerV2Router(mask: .none), 1.0 / 3),
      (SparseMixerRouter(mask: .none, argmaxRule: false), 0.5),
      (SparseMixerV2Router(mask: .none, argmaxRule: false), 1.0 / 3),
    ] {
      var shortened = [false: 0, true: 0]
      for seed in 0..<4 {
        let layer = try routed(router, seed: UInt64(seed))
        for t in 0..<Self.tokens {
          let own = logits(layer, t)
          let factor = output(layer, t)
          #expect((factor - 1).magnitude < 1e-12 || (factor - short).magnitude < 1e-12)
          if factor < 0.9 { shortened[own[layer.workspace.choice[t]] == own.max(), default: 0] += 1 }
        }
      }
      let hasRule =
        (router as? SparseMixerRouter)?.coins == SparseMixerRouter().coins
        || (router as? SparseMixerV2Router)?.coins == SparseMixerV2Router().coins
      #expect((shortened[true] == 0) == hasRule && shortened[false, default: 0] > 0)
    }
  }

  @Test("default-moe: stand-ins are running means of the experts' own outputs, brought up to date before use")
  func runningMeans() throws {
    let layer = try LayerCase<Double>.random(
      Self.shape, router: DefaultMoERouter(k: 2, decay: 0.75), tokens: Self.tokens, name: "running means")
    let standIns = try #require(layer.layer.standIns)
    var expected = [[Double]](repeating: [Double](repeating: 0, count: 5), count: 6)
    for step in 0..<3 {
      for k in 0..<layer.input.count { layer.input.elements[k] *= 0.9 }
      _ = try layer.loss(LayerRandomness(seed: UInt64(step)))
      for i in 0..<6 {
        let own = (0..<Self.tokens).filter { layer.workspace.choice[2 * $0..<2 * $0 + 2].contains(i) }
        guard !own.isEmpty else { continue }
        for j in 0..<5 {
          let mean = own.reduce(0) { $0 + output(layer, token: $1, expert: i)[j] } / Double(own.count)
          expected[i][j] = 0.75 * expected[i][j] + 0.25 * mean
        }
      }
      for i in 0..<6 { for j in 0..<5 { expectClose(standIns[i, j], expected[i][j], within: 1e-13) } }
    }
    // Evaluation leaves them alone.
    _ = try layer.loss(nil)
    for i in 0..<6 { for j in 0..<5 { expectClose(standIns[i, j], expected[i][j], within: 1e-13) } }
  }

  /// `W₂ max(W₁ x + b₁, 0) + b₂`, by plain loops.
  private func output(_ layer: LayerCase<Double>, token t: Int, expert i: Int) -> [Double] {
    let p = layer.parameters
    let hidden = (0..<7).map { k in
      max(0, (0..<5).reduce(p.biases1?[i, k] ?? 0) { $0 + p.weights1[7 * i + k, $1] * layer.input[t, $1] })
    }
    return (0..<5).map { j in (0..<7).reduce(p.biases2?[i, j] ?? 0) { $0 + p.weights2[5 * i + j, $1] * hidden[$1] } }
  }
}
