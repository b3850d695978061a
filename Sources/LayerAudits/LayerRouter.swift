package import RouterSpecifications
import RoutingCore

/// The router of a layer whose specification is given, with what it reads besides the logits.
package struct LayerRouter: Sendable {
  /// What it computes.
  package let specification: RouterSpecification
  /// b, added to the keys, `[experts]`.
  package let selectionBias: [Double]?
  /// The factors of the experts' gates, `[experts]`.
  package let expertScales: [Double]?

  /// How it comes to its experts, as far as audits go.
  package enum Choice: Sendable, Equatable {
    /// It draws so many from the softmax, one after the other without replacement.
    case drawn(Int)
    /// The logits say.
    case chosen
  }

  /// A router.
  ///
  /// - Throws: `InvalidInput`, with the field's path in the specification, for what cannot be audited.
  package init(
    _ specification: RouterSpecification, selectionBias: [Double]? = nil, expertScales: [Double]? = nil
  ) throws(InvalidInput) {
    self.specification = specification
    self.selectionBias = selectionBias
    self.expertScales = expertScales
    try requireAuditable()
  }

  /// How it comes to its experts.
  package var choice: Choice {
    if case .sampled(let count) = specification.selection { .drawn(count) } else { .chosen }
  }

  private func requireAuditable() throws(InvalidInput) {
    func require(_ condition: Bool, _ path: String, _ expectation: String) throws(InvalidInput) {
      if !condition { throw InvalidInput(path, expectation) }
    }
    let specification = specification
    guard let gate = specification.gate else {
      throw InvalidInput("gate", "expected a gate that is stated, as gradients go through it")
    }
    try require(
      specification.applied == .output, "applied", "expected \"output\", gates on experts' inputs are not audited")
    try require(
      specification.nullExperts == nil, "nullExperts", "expected none, experts without weights are not audited")
    switch specification.selection {
    case .topK, .topP, .threshold, .expertChoice:
      try require(
        gate.outputScales == [1], "gate.outputScales", "expected [1], coins are audited of routers that draw experts")
    case .forced, .unstated:
      throw InvalidInput("selection.kind", "expected a choice that follows from the logits, or a drawn one")
    case .sampled(let count):
      let isSoftmax = specification.score == RouterSpecification.Score()
      let source: RouterSpecification.Gate.Source = count == 1 ? .score : .sequential
      try require(count <= 2, "selection.count", "expected 1 or 2 drawn experts, more are not audited")
      try require(
        isSoftmax && !specification.hasSelectionBias && specification.groups == nil && specification.noise == nil
          && specification.capacity == nil, "selection.kind",
        "expected top-k, or experts drawn from the softmax of the logits and nothing else")
      try require(
        gate.source == source && !gate.isNormalized && gate.scale == 1 && !gate.hasExpertScales, "gate",
        "expected \"of\": \"\(source.rawValue)\" and nothing else where \(count == 1 ? "one expert is" : "two experts are") drawn"
      )
    }
  }
}
