/// What a gradient estimator is judged against. A bias has no meaning without it, and published code aims at different
/// ones.
///
/// With `L(θ) = Σ_i π_i G(π_i f_i)` the exact gradient has two parts, `∇₀` through the sampling probability and `∇₁`
/// through the multiplier.
public enum GradientTarget: String, Sendable, CaseIterable {
  /// `∇₀ + ∇₁`, the gradient of the expected loss of the estimator's own routing distribution, its mask held constant.
  case expectedLoss = "expected-loss"
  /// `∇₀ = Σ_i G(π_i f_i) ∂π_i`.
  case routingTerm = "routing-term"
  /// `∇₁ = Σ_i π_i (G'(π_i f_i)·f_i) ∂π_i`, what conventional training keeps.
  case gatingTerm = "gating-term"
  /// The gradient of `G(Σ_i π_i f_i)`, all experts mixed densely.
  case denseMixture = "dense-mixture"
  /// `E_D[J(π) [G'(π_D f_D)·f_i]_i]`, forward sparse and backward dense (DenseMixer, arXiv 2504.12463).
  case denseBackward = "dense-backward"
}
