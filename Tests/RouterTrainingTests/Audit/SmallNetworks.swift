import LayerTensors
import MixtureOfExperts
import RoutingCore

@testable import RouterTraining

/// Networks of a few hundred weights, in Double, far enough from their beginning that attention and routers are not uniform.
enum SmallNetworks {
  static let vocabulary = 7

  static func shape(expertsEvery: Int, dropout: Double = 0, capacity: Double? = nil) -> TransformerShape {
    var shape = TransformerShape()
    (shape.width, shape.heads, shape.layers, shape.hidden, shape.experts) = (8, 2, 2, 6, 3)
    (shape.expertsEvery, shape.dropout, shape.scale, shape.capacityFactor) = (expertsEvery, dropout, true, capacity)
    shape.loadBalance = 0
    return shape
  }

  static func language(
    _ shape: TransformerShape, router: any TokenRouter, sequences: Int, routerFactor: Double = 4
  ) -> LanguageNetwork<Double> {
    let network = LanguageNetwork<Double>(
      shape, vocabulary: vocabulary, context: 4, router: router, maximumSequences: sequences)
    network.initialise(seed: 3)
    spread(network.parameters, routerFactor: routerFactor)
    return network
  }

  static func translation(_ shape: TransformerShape, router: any TokenRouter) -> TranslationNetwork<Double> {
    let network = TranslationNetwork<Double>(
      shape, vocabulary: vocabulary, rows: 8, length: 6, smoothing: 0.1, router: router)
    network.initialise(seed: 4)
    spread(network.parameters, routerFactor: 4)
    return network
  }

  private static func spread(_ parameters: [ModelParameter<Double>], routerFactor: Double) {
    for parameter in parameters {
      let factor = parameter.name == "tokens" ? 20 : parameter.name.hasSuffix("router.weight") ? routerFactor : 1.7
      for i in 0..<parameter.value.count { parameter.value.elements[i] *= factor }
    }
  }

  static func windows(_ lengths: [Int]) -> LanguageBatch {
    let count = lengths.reduce(0, +)
    return LanguageBatch(
      tokens: (0..<count).map { Int32(($0 * 5 + $0 * $0) % vocabulary) },
      targets: (0..<count).map { Int32(($0 * 3 + 2) % vocabulary) }, plan: SequencePlan(lengths: lengths))
  }

  static let pairs = TranslationAuditBatch([
    SentencePair(source: [3, 4, 5], target: [6, 2]), SentencePair(source: [2], target: [5, 3]),
  ])

  static let randomness = StepRandomness(seed: 5, step: 2)

  /// What the loss is with some tokens of a layer forced.
  static func loss<Network: AuditedNetwork>(
    of network: Network, _ batch: Network.Batch, forced: [ForcedRoute], layer: Int, row: Int,
    randomness: StepRandomness = randomness
  ) throws -> Double {
    let workspace = network.workspace(network.switchLayers[layer])
    workspace.forced = forced
    defer { workspace.forced = [] }
    var loss = 0.0
    try network.run(
      batch, randomness: randomness,
      audit: AuditPass(factor: 0.25) { if $0.index == layer { loss = $0.losses?[row] ?? .nan } }, threads: 1)
    return loss
  }

  /// The logits of a layer's tokens, `[tokens][experts]`.
  static func logits<Network: AuditedNetwork>(
    of network: Network, _ batch: Network.Batch, layer: Int, randomness: StepRandomness = randomness
  ) throws -> [[Double]] {
    let workspace = network.workspace(network.switchLayers[layer])
    try network.run(batch, randomness: randomness, audit: AuditPass(factor: 0.25) { _ in }, threads: 1)
    let n = 3
    return (0..<workspace.tokens).map { Array(workspace.routerLogits[$0 * n..<$0 * n + n]) }
  }
}
