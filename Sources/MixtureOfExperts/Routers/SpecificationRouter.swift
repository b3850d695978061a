package import RouterSpecifications
import RoutingCore

/// A router as its specification states it: every token's k ≥ 1 experts follow from its logits, with gates of their scores. Nothing is
/// drawn; the logits get the gradient through the gates of the experts that are chosen, as training gives it.
///
/// *Source*: docs/router-specifications.md.
package struct SpecificationRouter: TokenRouter {
  package static let id = "top-k"

  /// What it computes.
  package let specification: RouterSpecification
  /// b, added to the keys, `[experts]`.
  package let selectionBias: [Double]?
  /// The factors of the experts' gates, `[experts]`.
  package let expertScales: [Double]?
  private let reference: RouterReference

  /// The k largest scores, k at most the layer's experts, whatever their number.
  ///
  /// - Parameters:
  ///   - k: how many.
  ///   - score: softmax or sigmoid of the logits.
  ///   - gate: what their outputs are multiplied by.
  package init(top k: Int, score: RouterSpecification.Score.Function, gate: RouterSpecification.Gate) {
    specification = RouterSpecification(
      name: Self.id, experts: k, score: RouterSpecification.Score(score), selection: .topK(k), gate: gate)
    (selectionBias, expertScales) = (nil, nil)
    reference = RouterReference(specification)
  }

  /// A router of a layer with as many experts as its specification has.
  ///
  /// - Throws: `InvalidInput`, with the field's path in the specification, for what a layer does not do token by token.
  package init(
    _ specification: RouterSpecification, selectionBias: [Double]? = nil, expertScales: [Double]? = nil
  ) throws(InvalidInput) {
    func require(_ condition: Bool, _ path: String, _ expectation: String) throws(InvalidInput) {
      if !condition { throw InvalidInput(path, expectation) }
    }
    switch specification.selection {
    case .topK, .topP, .threshold: break
    case .sampled, .expertChoice, .forced, .unstated:
      throw InvalidInput("selection.kind", "expected top-k, top-p or threshold, which choose by a token's own logits")
    }
    guard let gate = specification.gate else {
      throw InvalidInput("gate", "expected a gate that is stated, as gradients go through it")
    }
    try require(gate.outputScales == [1], "gate.outputScales", "expected [1]")
    try require(specification.applied == .output, "applied", "expected \"output\"")
    try require(specification.nullExperts == nil, "nullExperts", "expected none")
    try require(specification.noise == nil, "noise", "expected none")
    try require(specification.capacity == nil, "capacity", "expected none, the layer has a capacity of its own")
    try require(
      (selectionBias?.count ?? 0) == (specification.hasSelectionBias ? specification.experts : 0), "bias",
      "expected a selection bias where the specification has one, [experts]")
    try require(
      (expertScales?.count ?? 0) == (gate.hasExpertScales ? specification.experts : 0), "gate.perExpertScale",
      "expected expert scales where the specification has them, [experts]")
    self.specification = specification
    self.selectionBias = selectionBias
    self.expertScales = expertScales
    reference = RouterReference(specification)
  }

  package func slots(experts: Int) -> Int { min(specification.mostChosen, experts) }
  package func choices(experts: Int) -> Int { slots(experts: experts) }

  /// The router of a layer of so many experts.
  private func reference(experts: Int) -> RouterReference {
    guard experts != specification.experts, case .topK(let k) = specification.selection else { return reference }
    var own = specification
    (own.experts, own.selection) = (experts, .topK(min(k, experts)))
    return RouterReference(own)
  }

  /// The gates of a token.
  private func gates(_ token: TokenRoute) -> TokenGates {
    var call = RouterCall(
      mode: .eval, logits: [Array(UnsafeBufferPointer(start: token.logits, count: token.experts))], expertOutputs: [],
      upstream: [], uniforms: [])
    call.bias = selectionBias
    call.expertScales = expertScales
    guard let gates = reference(experts: token.experts).gates(of: call) else {
      preconditionFailure("a choice by logits is one that is stated")
    }
    return gates[0]
  }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    let top = token.softmax(of: token.logits, mask: .none, p: token.probabilities, q: token.complements)
    let gates = gates(token)
    token.primary.pointee = Int32(gates.chosen.first ?? top)
    for s in 0..<token.slots {
      let isTaken = s < gates.chosen.count
      token.fill(s, expert: isTaken ? gates.chosen[s] : -1, multiplier: isTaken ? gates.values[s] : 0)
    }
  }

  package func differentiate(_ token: TokenRoute) {
    var slopes = [Double](repeating: 0, count: token.experts)
    for s in 0..<token.slots where token.choice[s] >= 0 { slopes[Int(token.choice[s])] = token.slopes[s] }
    token.addJacobianProduct(token.probabilityGradient, p: token.probabilities)
    for (i, value) in gates(token).sparseGradient(slopes).enumerated() { token.gradient[i] += value }
  }

  package func differentiateDensely(_ token: TokenRoute, slopes: UnsafePointer<Double>) {
    let (gates, slopes) = (gates(token), Array(UnsafeBufferPointer(start: slopes, count: token.experts)))
    for (i, value) in gates.sparseGradient(slopes).enumerated() { token.gradient[i] += value }
    // Gates without a dense form have no more to say than those of the chosen.
    for (i, value) in (gates.unseenGradient(slopes) ?? []).enumerated() { token.gradient[i] += value }
  }
}
