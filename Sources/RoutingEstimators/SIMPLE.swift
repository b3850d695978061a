import RoutingCore

/// SIMPLE: a k-hot z drawn from `p(z) ∝ exp(Σ z_i θ_i)`, `|z| = k`, and back through its marginals, `ĝ = ∂μ/∂θ · ∇f(z) = Cov z · ∇f(z)`.
///
/// It is straight-through for subsets, and for k = 1 is ``StraightThrough`` at τ = 1: exact for affine f. On a mixture it acts on
/// `F(z) = G(Σ_i z_i π_i f_i)`, which needs every expert's output, and adds the gates' own part `J(π) (s ⊙ z)`, `s_j = G'(y)·f_j`.
/// With `k-max` the size is drawn as well, from k to that (dynamic k); then p is no longer invariant to a shift of θ, and coordinates of
/// a sample need not sum to zero.
///
/// `∂ log(1 − p)/∂θ` belongs to it: where p_i are probabilities and `log(1 − p_i)` is detached, the Jacobian loses a factor `1 − σ(θ_i)`
/// per column.
///
/// *Source*: arXiv 2210.01941 (Ahmed, Zeng, Niepert, Van den Broeck), section 3; UCLA-StarAI/SIMPLE, whose odds are those of `σ(θ_i)`, that is
/// `e^{θ_i}`. Dynamic k: arXiv 2606.01509.
public struct SIMPLE: MarginalEstimator {
  public static let id = "simple"

  /// k, or what it lies between.
  public let sizes: ClosedRange<Int>

  /// - Precondition: sizes are at least 1.
  public init(sizes: ClosedRange<Int> = 2...2) {
    precondition(sizes.lowerBound >= 1, "a subset of \(sizes.lowerBound)")
    self.sizes = sizes
  }

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .degree(1), order: 1,
      subsets: law, expertEvaluations: .gradientAtChoice, source: "arXiv 2210.01941")
  }

  package static let isSparse = false
}
