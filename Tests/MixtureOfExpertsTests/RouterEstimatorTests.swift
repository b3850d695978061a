import LayerTensors
import MixtureOfExperts
import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

/// What a layer gives a token's logits is an outcome of the registry's estimator on that token's problem.
@Suite(.seeded) struct RouterEstimatorTests {
  private struct Case {
    let router: any TokenRouter
    let estimator: any FiniteOutcomeEstimator
    let mask: Mask
  }

  private static let standard = Mask.referenceCode(threshold: 0.1)
  private static let cases: [Case] = [
    Case(router: SwitchRouter(jitter: .none), estimator: Conventional(), mask: .none),
    Case(router: MaskedSwitchRouter(jitter: .none), estimator: Conventional(), mask: standard),
    Case(router: SparseMixerRouter(), estimator: SparseMixer(), mask: standard),
    Case(router: SparseMixerRouter(mask: .none), estimator: SparseMixer(), mask: .none),
    Case(router: SparseMixerRouter(mask: .none, argmaxRule: false), estimator: Midpoint(), mask: .none),
    Case(router: SparseMixerV2Router(), estimator: SparseMixerV2(), mask: standard),
    Case(
      router: SparseMixerV2Router(mask: .none, referenceConstants: true),
      estimator: SparseMixerV2(referenceConstants: true), mask: .none),
    Case(router: SparseMixerV2Top2Router(), estimator: SparseMixerV2Top2(), mask: standard),
    Case(router: SparseMixerV2Top2Router(mask: .none), estimator: SparseMixerV2Top2(), mask: .none),
    Case(router: ReinforceRouter(), estimator: Reinforce(), mask: .none),
    Case(router: ReinforceRouter(baseline: 0.7), estimator: Reinforce(baseline: .constant(0.7)), mask: .none),
    Case(router: DenseBackwardRouter(), estimator: DenseBackward(), mask: .none),
    Case(router: ExactRouter(), estimator: Exact(), mask: .none),
    Case(router: ExactRouter(mask: .paper(threshold: 0.4)), estimator: Exact(), mask: .paper(threshold: 0.4)),
  ]

  @Test("the router's gradient for a token is the estimator's", arguments: 0..<14)
  func outcome(_ index: Int) throws {
    let (router, estimator, mask) = (Self.cases[index].router, Self.cases[index].estimator, Self.cases[index].mask)
    let shape = LayerShape(experts: 5, inputs: 6, hidden: 8, outputs: 4, activation: .silu, scale: true)
    let layer = try LayerCase<Double>.random(shape, router: router, tokens: 40, name: "outcome \(index)")
    let outputs = try expertOutputs(layer)
    for seed in 0..<4 {
      _ = try layer.loss(LayerRandomness(seed: UInt64(seed)))
      layer.differentiate()
      let slots = router.slots(experts: 5)
      for t in 0..<layer.tokens {
        let logits = Array(layer.workspace.routerLogits[t * 5..<t * 5 + 5])
        let problem = try RoutedProblem(
          .mixture(
            MixtureProblem(
              logits: logits, expertOutputs: outputs[t], scale: layer.parameters.scale?.values,
              loss: layer.losses[t])), mask: mask)
        let multipliers = Array(layer.workspace.multiplier[t * slots..<(t + 1) * slots])
        let choice = Array(layer.workspace.choice[t * slots..<(t + 1) * slots])
        let distribution = try estimator.outcomes(of: problem)
        let outcome = try #require(
          distribution.outcomes.first { outcome in
            outcome.choice.isEmpty
              || (slots > 2
                ? multipliers[outcome.choice[0]] != 0
                : outcome.choice == choice
                  && zip(outcome.multiplier ?? [], multipliers).allSatisfy { ($0 - $1).magnitude < 1e-12 })
          }, "token \(t) went to \(choice) times \(multipliers), which is no outcome of \(estimator.specification)")
        expectClose(
          Array(layer.workspace.routerLogitGradients[t * 5..<t * 5 + 5]), distribution.gradient(of: outcome),
          relative: 1e-12, scale: 1e-3, quantity: "gradient", "\(estimator.specification), token \(t)")
      }
    }
  }

  @Test("default-moe's gradient is that of its one outcome")
  func standIns() throws {
    let shape = LayerShape(experts: 4, inputs: 6, hidden: 8, outputs: 4, activation: .gelu, scale: true)
    let layer = try LayerCase<Double>.random(
      shape, router: DefaultMoERouter(k: 2, decay: 0.5), tokens: 12, name: "stand-ins")
    let outputs = try expertOutputs(layer)
    _ = try layer.loss(LayerRandomness(seed: 1))
    layer.differentiate()
    let standIns = try #require(layer.layer.standIns)
    let rows = (0..<4).map { i in (0..<4).map { standIns[i, $0] } }
    for t in 0..<layer.tokens {
      let problem = try RoutedProblem(
        .mixture(
          MixtureProblem(
            logits: Array(layer.workspace.routerLogits[t * 4..<t * 4 + 4]), expertOutputs: outputs[t],
            scale: layer.parameters.scale?.values, standIns: rows, loss: layer.losses[t])))
      let distribution = try DefaultMoE(k: 2).outcomes(of: problem)
      expectClose(
        Array(layer.workspace.routerLogitGradients[t * 4..<t * 4 + 4]),
        distribution.gradient(of: distribution.outcomes[0]), relative: 1e-12, scale: 1e-3, quantity: "gradient")
    }
  }

  /// Every expert's output for every token, from a layer whose scale is 1 and whose multipliers are divided out.
  private func expertOutputs(_ layer: LayerCase<Double>) throws -> [[[Double]]] {
    let (shape, n) = (layer.layer.shape, layer.layer.shape.experts)
    let parameters = layer.parameters.copy(as: Double.self)
    parameters.scale?.elements.update(repeating: 1, count: shape.outputs)
    let all = MixtureLayer<Double>(shape, router: ExactRouter())
    let workspace = LayerWorkspace(all, maximumTokens: layer.tokens)
    try all.forward(
      layer.input.elements, tokens: layer.tokens, parameters: parameters, workspace: workspace, randomness: nil)
    return (0..<layer.tokens).map { t in
      (0..<n).map { i in
        (0..<shape.outputs).map { workspace.output[t * n + i, $0] / workspace.routingProbabilities[t * n + i] }
      }
    }
  }
}
