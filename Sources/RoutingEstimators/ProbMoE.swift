import RoutingCore

/// ProbMoE: ``SIMPLE`` for layers that run the experts drawn and no others, with gates `w = (sg(z − μ) + μ) ⊙ π`:
/// `y = Σ_{i∈S} π_i f_i`, `ĝ = Cov z · (π ⊙ s ⊙ z) + J(π) (s ⊙ z)`, `s_j = G'(y)·f_j`.
///
/// Experts that were not drawn send back nothing, where SIMPLE has `π_j s_j`: even for linear losses the part of the sampling
/// probability is `Cov z · (π ⊙ s ⊙ μ)` in the mean and not `Cov z · (π ⊙ s)`. With `k-max` the number of experts is drawn as well.
///
/// *Source*: arXiv 2606.01509; HengHugoZhao/ProbMoE at 3f0e538, `probmoe_routing` (softmax gates without renormalisation, the gates of the
/// chosen gathered; its optional mixing of μ with σ(θ) is not included).
public struct ProbMoE: MarginalEstimator {
  public static let id = "probmoe"

  /// k, or what it lies between.
  public let sizes: ClosedRange<Int>

  /// - Precondition: sizes are at least 1.
  public init(sizes: ClosedRange<Int> = 2...2) {
    precondition(sizes.lowerBound >= 1, "a subset of \(sizes.lowerBound)")
    self.sizes = sizes
  }

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .expectedLoss, exactness: .none, order: 0,
      subsets: law, expertEvaluations: .constant(Double(sizes.upperBound)),
      source: "arXiv 2606.01509")
  }

  package static let isSparse = true
}
