import RoutingCore

/// SparseMixer-v2 (GRIN): where D is the argmax the conventional sample, elsewhere Heun's third-order rule as a coin:
/// the slope at ⅓ of the output with probability ¾ (coin 0), at the full output with ¼ (coin 1).
///
/// There is no factor 2 and no separate `∇₁`: as published its target is the routing term, which for affine losses it
/// meets exactly. The published code writes ⅓ as Float32(0.3333); `reference-constants` reproduces that.
///
/// *Source*: arXiv 2409.12136, section 3; transformers' Phi-MoE `sparsemixer`.
public struct SparseMixerV2: RayEstimator {
  public static let id = "sparsemixer-v2"
  public static let parameters = [ParameterDeclaration("reference-constants", .flag, standard: .flag(false))]

  /// Whether ⅓ is Float32(0.3333), as in the published code.
  public let referenceConstants: Bool

  public init(referenceConstants: Bool = false) { self.referenceConstants = referenceConstants }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(referenceConstants: values.flag("reference-constants"))
  }

  public var values: ParameterValues { ["reference-constants": .flag(referenceConstants)] }

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .routingTerm, exactness: .degree(1), order: 1,
      expertEvaluations: .constant(1), source: "arXiv 2409.12136, section 3")
  }

  public var rule: RayRule {
    let third = Self.third(referenceConstants)
    return RayRule(
      nodes: [1, third], argmax: [.init(label: 1, weights: [1, 0])],
      others: [
        .init(label: 0, probability: 0.75, weights: [0, 1], output: third),
        .init(label: 1, probability: 0.25, weights: [1, 0]),
      ])
  }

  /// ⅓, or what the published code has for it.
  static func third(_ referenceConstants: Bool) -> Double {
    referenceConstants ? Double(Float(0.3333)) : 1.0 / 3
  }
}
