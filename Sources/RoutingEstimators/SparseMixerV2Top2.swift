import RoutingCore

/// SparseMixer-v2 with two experts: the second is drawn in the same way from the softmax over those left, and
/// `y = c₁ π_i f_i + c₂ π'_j f_j` with a coin for each.
///
/// The sample is `π_i (G'(y)·f_i)(I_i − π) + π'_j (G'(y)·f_j)(I_j − π')`. Draw 1 gets no credit for what draw 2 contributes:
/// for affine losses the mean is exactly the pairs' gating term.
///
/// The second mask uses the remaining maximum and the magnitudes of the full logits, and ignores the first mask.
///
/// *Edge cases*: needs two experts.
///
/// *Source*: arXiv 2409.12136, section 3; transformers' Phi-MoE `sparsemixer`.
public struct SparseMixerV2Top2: PairRuleEstimator {
  public static let id = "sparsemixer-v2-top2"
  public static let parameters = SparseMixerV2.parameters

  /// Whether ⅓ is Float32(0.3333), as in the published code.
  public let referenceConstants: Bool

  public init(referenceConstants: Bool = false) { self.referenceConstants = referenceConstants }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(referenceConstants: values.flag("reference-constants"))
  }

  public var values: ParameterValues { ["reference-constants": .flag(referenceConstants)] }

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .gatingTerm, exactness: .degree(1), order: 1, draws: 2,
      expertEvaluations: .constant(2),
      source: "arXiv 2409.12136, section 3")
  }

  public var pairRule: PairRule {
    PairRule(
      argmax: [.init(label: 1, probability: 1, output: 1)],
      others: [
        .init(label: 0, probability: 0.75, output: SparseMixerV2.third(referenceConstants)),
        .init(label: 1, probability: 0.25, output: 1),
      ])
  }
}
