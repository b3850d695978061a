import RoutingCore

/// ZGR, the limit of Gumbel-Rao at temperature zero: the average of straight-through and DARN,
/// `ĝ = ½ J(π) ∇f(I_D) + ½ (∇f(I_D)·(I_D − π)) (I_D − π)`.
///
/// It equals ``ReinMax`` at τ = 1, outcome by outcome, found two years apart from two ideas: with g = ∇f(I_D),
/// ```
/// 2 J(½(π + I_D)) g = π ⊙ g + I_D (I_D·g) − ½ (π + I_D) (π·g + I_D·g),
/// ```
/// of which `½ J(π) g = ½ π ⊙ g − ½ π (π·g)` is taken off, what is left is
/// `½ π ⊙ g + ½ I_D (I_D·g) − ½ π (I_D·g) − ½ I_D (π·g)`; so it is here.
///
/// Exact for quadratic f. On a mixture it acts on `F(D) = G(Σ_i D_i π_i f_i)` and adds the gating sample.
///
/// *Source*: A. Shekhovtsov, "Cold analysis of Rao-Blackwellized straight-through Gumbel-softmax gradient estimator", ICML 2023; the
/// identity is proved by ZGRTests.
public struct ZGR: FiniteOutcomeEstimator {
  public static let id = "zgr"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .degree(2), order: 2,
      expertEvaluations: .gradientAtChoice, source: "ICML 2023, PMLR 202")
  }

  public var forwardLaw: ForwardLaw { .plainDraw }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let distribution = problem.distribution
    return try problem.choiceOutcomes { choice, gradient in
      let half = 0.5 * DARN.weight(of: choice, gradient: gradient, distribution)
      var sample = distribution.jacobianProduct(gradient).map { 0.5 * $0 }
      for k in distribution.support {
        sample[k] += k == choice ? distribution.complementShare(k, of: half) : -distribution.share(k, of: half)
      }
      return sample
    }
  }
}
