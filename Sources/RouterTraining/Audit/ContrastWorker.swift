import LayerTensors
import MixtureOfExperts
import RoutingCore

/// Networks for one sequence, on which a token's other experts are tried; one thread at a time.
///
/// The gradient is that of conditional enumeration: with everything else held (other tokens' choices in this layer, noise, dropout; layers
/// above route anew), π the distribution of the token's expert and L_i the loss with expert i and multiplier m = π_i,
/// ```
/// g = J(π) [L_i + π_i ∂L_i/∂m]_i.
/// ```
/// ∂L_i/∂m is the derivative of the loss as it stands, all choices above held. Where training hands something else back through a
/// sampling router above, a second network differentiates.
final class ContrastWorker<Network: AuditedNetwork>: @unchecked Sendable {
  private let law: ContrastLaw
  private let trained: Network
  private let held: Network?
  let layers: [SwitchLayerPlace]

  /// - Parameter make: a network with the router given, with the parameters to be audited.
  init(router: any TokenRouter, law: ContrastLaw, make: (any TokenRouter) -> Network) {
    self.law = law
    trained = make(router)
    layers = trained.switchLayers
    held = law.needsHeld(layer: 0, layers: layers.count) ? make(HeldRouter(router)) : nil
  }

  /// What a pass says of the token.
  private struct Seen {
    var logits: [Double] = []
    var gradient: [Double] = []
    var loss = 0.0
    var slopes: [Double] = []
    var dense: [Double] = []
  }

  /// - Parameters:
  ///   - row: of the token among those that the layer sees.
  ///   - layer: its index.
  ///   - batch: one sequence.
  ///   - factor: what each target's loss is multiplied by.
  ///   - others: what other tokens do in this layer, whatever the router says.
  ///   - continuing: asked before every pass.
  /// - Returns: nil if a number is not finite.
  /// - Throws: ``AuditRequest/calledOff``.
  func contrast(
    row: Int, layer: Int, batch: Network.Batch, randomness: StepRandomness, factor: Double,
    others: [ForcedRoute] = [], threads: Int, continuing: () -> Bool
  ) throws(Refusal) -> TokenContrast? {
    let place = layers[layer]
    func run(_ network: Network, forcing expert: (Int, multiplier: Double)?) throws(Refusal) -> Seen {
      guard continuing() else { throw AuditRequest.calledOff }
      let workspace = network.workspace(place)
      workspace.forced = others
      if let expert {
        workspace.forced.append(ForcedRoute(token: row, expert: expert.0, multiplier: expert.multiplier))
      }
      defer { workspace.forced = [] }
      var seen: Result<Seen, Refusal>?
      let pass = AuditPass<Double>(
        factor: factor, first: expert == nil ? (0, 0) : (place.stack, place.block),
        watch: { visit in
          guard visit.index == layer else { return }
          seen = Result { () throws(Refusal) in
            var seen = Seen(loss: visit.losses?[row] ?? 0, slopes: try visit.slopes(of: row..<row + 1))
            if expert == nil {
              (seen.logits, seen.gradient) = visit.workspace.logitsAndGradient(token: row)
              seen.dense = visit.workspace.denseGradients(of: visit.layer.router, slopes: seen.slopes, first: row)
            }
            return seen
          }
        })
      try network.run(batch, randomness: randomness, audit: pass, threads: threads)
      guard let seen else { preconditionFailure("the backward pass goes through \(place.name)") }
      return try seen.get()
    }
    let base = try run(trained, forcing: nil)
    guard base.logits.allSatisfy(\.isFinite) else { return nil }
    var tried = TriedExperts(logits: base.logits, law: law, drawn: base.gradient, drawnDensely: base.dense)
    let differentiating = law.needsHeld(layer: layer, layers: layers.count) ? held : nil
    if let differentiating { _ = try run(differentiating, forcing: nil) }
    for i in tried.distribution.support {
      let share = tried.distribution.probabilities[i]
      for (k, node) in law.nodes.enumerated() {
        let seen = try run(trained, forcing: (i, node * share))
        (tried.values[i][k], tried.slopes[i][k]) = (seen.loss, seen.slopes[i])
        guard node == 1 else { continue }
        tried.denseSlopes[i] = seen.slopes
        (tried.heldValues[i], tried.heldSlopes[i]) = (seen.loss, seen.slopes[i])
      }
      if let differentiating {
        tried.heldSlopes[i] = try run(differentiating, forcing: (i, share)).slopes[i]
      }
    }
    guard let contrast = try? tried.contrast(), contrast.isFinite else { return nil }
    return contrast
  }
}
