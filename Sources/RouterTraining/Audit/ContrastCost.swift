import MixtureOfExperts
import RoutingCore

extension ContrastCost {
  /// Of a network with so many Switch layers.
  ///
  /// - Throws: `InvalidInput` if there is none, or the router's experts cannot be tried one by one.
  init(_ shape: TransformerShape, stacks: Int, router: TrainingRouter, tokens: Int) throws(InvalidInput) {
    let layers = stacks * (0..<shape.layers).count { shape.hasExperts($0) }
    guard layers > 0 else {
      throw InvalidInput("auditTokens", "expected 0 without a Switch layer ('--experts-every 0'), got \(tokens)")
    }
    guard let law = router.law.contrast else {
      throw InvalidInput(
        "auditTokens", "expected 0 with '\(router.label)', whose experts cannot be tried one by one, got \(tokens)")
    }
    self.init(
      layers: layers, experts: shape.experts,
      passes: (0..<layers).reduce(0) {
        $0 + tokens * law.passes(experts: shape.experts, layer: $1, layers: layers)
      })
  }
}
