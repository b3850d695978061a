import GSLNumerics
import MixtureOfExperts
import RoutingCore
import Testing
import _TestSupport

@testable import RouterTraining

/// Trying a token's experts one by one, against writing out all choices.
struct ContrastTests {
  private static let routers = [
    "switch", "masked-switch", "sparsemixer", "sparsemixer-v2:mask=none", "argmax-midpoint", "reinforce:baseline=0.3",
    "dense-backward", "sparsemixer:rule=midpoint,mask=none",
  ]

  private static func worker<Network: AuditedNetwork>(
    _ router: TrainingRouter, make: @escaping (any TokenRouter) -> Network
  ) throws -> ContrastWorker<Network> {
    ContrastWorker(router: router.tokenRouter, law: try #require(router.law.contrast), make: make)
  }

  private static func all(_ counts: [Int]) -> [[Int]] {
    counts.reduce([[]]) { lists, count in lists.flatMap { list in (0..<count).map { list + [$0] } } }
  }

  /// The mean over the other tokens' choices is `∂E[L]/∂θ_t`, E over all choices of all three tokens (27 of them), by GSL.
  @Test(arguments: ["switch", "masked-switch:threshold=0.5", "dense-backward"], 0..<3)
  func meansAreDerivativesOfTheExpectedLoss(text: String, row: Int) throws {
    let router = try TrainingRouter(text)
    let law = try #require(router.law.contrast)
    let shape = SmallNetworks.shape(expertsEvery: 2, dropout: 0.2)
    func make(_ router: any TokenRouter) -> LanguageNetwork<Double> {
      SmallNetworks.language(shape, router: router, sequences: 1)
    }
    let batch = SmallNetworks.windows([3])
    let network = make(router.tokenRouter)
    let logits = try SmallNetworks.logits(of: network, batch, layer: 0)
    let pi = logits.map { RoutingDistribution(logits: $0, mask: law.mask) }
    // Where the mask leaves one expert there is nothing to derive; the test would not see anything.
    let choices = Self.all([3, 3, 3]).filter { choice in (0..<3).allSatisfy { pi[$0].support.contains(choice[$0]) } }
    let worker = try Self.worker(router, make: make)
    var mean = [0.0, 0.0, 0.0]
    for choice in choices where choice[row] == pi[row].argmax {
      let others = (0..<3).filter { $0 != row }
      let contrast = try #require(
        try worker.contrast(
          row: row, layer: 0, batch: batch, randomness: SmallNetworks.randomness, factor: 0.25,
          others: others.map {
            ForcedRoute(token: $0, expert: choice[$0], multiplier: pi[$0].probabilities[choice[$0]])
          }, threads: 1, continuing: { true }))
      let share = others.reduce(1.0) { $0 * pi[$1].probabilities[choice[$1]] }
      for k in 0..<3 { mean[k] += share * contrast.target[k] }
    }
    for k in 0..<3 {
      let slope = try derivative(
        of: { shift in
          var moved = logits[row]
          moved[k] += shift
          // The mask is held.
          let kept = pi[row].support
          let own = RoutingDistribution(logits: kept.map { moved[$0] }).probabilities
          var probabilities = pi.map(\.probabilities)
          for (place, i) in kept.enumerated() { probabilities[row][i] = own[place] }
          return choices.reduce(0) { sum, choice in
            let forced = (0..<3).map {
              ForcedRoute(token: $0, expert: choice[$0], multiplier: probabilities[$0][choice[$0]])
            }
            let share = (0..<3).reduce(1.0) { $0 * probabilities[$1][choice[$1]] }
            // The loss from the first token on is all of it.
            let loss = (try? SmallNetworks.loss(of: network, batch, forced: forced, layer: 0, row: 0)) ?? .nan
            return sum + share * loss
          }
        }, at: 0)
      expectClose(mean[k], slope.value, within: 1e-9 + 10 * slope.error, "\(text), token \(row), logit \(k)")
    }
  }

  /// Mean and variance over the token's own draws are those of the gradients that training gives: one token alone, all its outcomes.
  @Test(
    .seeded,
    arguments: [
      ("sparsemixer:mask=none", 0.5), ("sparsemixer-v2:mask=none", 0.25), ("reinforce:mask=none,baseline=0.3", 1),
      ("dense-backward", 1), ("sparsemixer:rule=midpoint,mask=none", 0.5),
      ("sparsemixer:rule=first-order,mask=none", 1),
    ])
  func momentsAreThoseOfTraining(text: String, full: Double) throws {
    let router = try TrainingRouter(text)
    let law = try #require(router.law.contrast)
    func make(_ router: any TokenRouter) -> LanguageNetwork<Double> {
      SmallNetworks.language(SmallNetworks.shape(expertsEvery: 2), router: router, sequences: 1, routerFactor: 0.5)
    }
    let (batch, network) = (SmallNetworks.windows([1]), make(router.tokenRouter))
    let logits = try SmallNetworks.logits(of: network, batch, layer: 0)
    let pi = RoutingDistribution(logits: logits[0], mask: law.mask)
    let hasException = text.hasPrefix("sparsemixer") && !text.contains("midpoint")
    // None has a probability below 0.02, which 2000 draws miss with probability 3e-18.
    #expect(pi.probabilities.allSatisfy { $0 > 0.08 })
    var outcomes: [String: (probability: Double, gradient: [Double])] = [:]
    for step in 0..<2000 {
      try network.run(
        batch, randomness: StepRandomness(seed: TestSeed.value, step: step),
        audit: AuditPass(factor: 0.25) { visit in
          let choice = visit.workspace.chosenExpert(0)
          let slot = visit.workspace.slotCount == 1 ? 0 : choice
          let multiplier = visit.workspace.multiplier(token: 0, slot: slot) / pi.probabilities[choice]
          let coin = full == 1 || hasException && choice == pi.argmax ? 1 : multiplier > 0.99 ? full : 1 - full
          outcomes["\(choice), \(Int(100 * multiplier))"] = (
            pi.probabilities[choice] * coin, visit.workspace.logitsAndGradient(token: 0).gradient
          )
        }, threads: 1)
    }
    expectClose(outcomes.values.reduce(0) { $0 + $1.probability }, 1, within: 1e-12, "\(text): \(outcomes.keys)")
    let mean = (0..<3).map { k in outcomes.values.reduce(0) { $0 + $1.probability * $1.gradient[k] } }
    let variance = outcomes.values.reduce(0) { sum, outcome in
      sum + outcome.probability * zip(outcome.gradient, mean).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }
    let contrast = try #require(
      try Self.worker(router, make: make).contrast(
        row: 0, layer: 0, batch: batch, randomness: SmallNetworks.randomness, factor: 0.25, threads: 1,
        continuing: { true }))
    expectClose(contrast.own, mean, relative: 1e-10, "\(text)")
    expectClose(try #require(contrast.totalVariance), variance, within: 1e-10 * variance + 1e-18, "\(text)")
    if text == "dense-backward" { #expect(contrast.dense == contrast.own) }
    if text.hasPrefix("reinforce") { expectClose(contrast.own, contrast.target, relative: 1e-12) }
  }

  /// With a Switch layer above, which routes anew: values and slopes from a network that begins at the embedding, slopes by GSL.
  @Test(arguments: routers, 0..<4)
  func layersAboveRouteAnew(text: String, layer: Int) throws {
    let router = try TrainingRouter(text)
    let shape = SmallNetworks.shape(expertsEvery: 1, dropout: 0.1)
    func check<Network: AuditedNetwork>(
      _ batch: Network.Batch, layer: Int, row: Int, make: @escaping (any TokenRouter) -> Network
    ) throws {
      let contrast = try #require(
        try Self.worker(router, make: make).contrast(
          row: row, layer: layer, batch: batch, randomness: SmallNetworks.randomness, factor: 0.25, threads: 1,
          continuing: { true }))
      let network = make(router.tokenRouter)
      let logits = try SmallNetworks.logits(of: network, batch, layer: layer)[row]
      let pi = RoutingDistribution(logits: logits, mask: try #require(router.law.contrast).mask)
      var weights = [0.0, 0.0, 0.0]
      for i in pi.support {
        func loss(_ multiplier: Double) -> Double {
          let forced = [ForcedRoute(token: row, expert: i, multiplier: multiplier)]
          return (try? SmallNetworks.loss(of: network, batch, forced: forced, layer: layer, row: row)) ?? .nan
        }
        // Small enough that no choice above changes.
        let slope = try derivative(of: loss, at: pi.probabilities[i], step: 1e-5)
        weights[i] = loss(pi.probabilities[i]) + pi.probabilities[i] * slope.value
      }
      expectClose(contrast.target, pi.jacobianProduct(weights), relative: 1e-6, scale: 1e-2, "\(text), layer \(layer)")
    }
    if layer < 2 {
      try check(SmallNetworks.windows([4]), layer: layer, row: 1) {
        SmallNetworks.language(shape, router: $0, sequences: 1)
      }
    }
    try check(SmallNetworks.pairs.alone(0), layer: layer, row: 1) { SmallNetworks.translation(shape, router: $0) }
  }

  @Test func whatIsAskedOfALaw() throws {
    for text in ["top-k", "gshard", "base", "default-moe", "sparsemixer-v2-top2", "switch:jitter=input", "exact"] {
      #expect(try TrainingRouter(text).law.contrast == nil, "\(text)")
    }
    let law = try #require(try TrainingRouter("sparsemixer").law.contrast)
    #expect(
      law.nodes.sorted() == [0.5, 1] && law.needsHeld(layer: 0, layers: 2) && !law.needsHeld(layer: 1, layers: 2))
    #expect(law.passes(experts: 8, layer: 0, layers: 2) == 1 + 16 + 9)
    #expect(try #require(try TrainingRouter("switch").law.contrast).passes(experts: 8, layer: 0, layers: 2) == 9)
  }
}
