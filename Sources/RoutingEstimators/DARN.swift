import RoutingCore

/// DARN: REINFORCE whose baseline is the first-order expansion of f at π about the one-hot drawn, the part of it that has no mean
/// left out: `ĝ = (∇f(I_D)·(I_D − π)) (I_D − π)`.
///
/// It needs ∇f at the one-hot and no value of f. Exact for affine f; for quadratic f its bias is straight-through's with the other
/// sign, so that their average (``ZGR``) is exact. On a mixture it acts on `F(D) = G(Σ_i D_i π_i f_i)` and adds the gating
/// sample; it then needs every expert's output.
///
/// *Numerics*: the weight `(g_D − g_*) − Σ_j π_j (g_j − g_*)`, * the most probable expert, so that nothing cancels as π → 1.
///
/// *Source*: arXiv 1310.8499 (Gregor et al., the baseline of ½ for binary units); for categorical draws A. Shekhovtsov, ICML 2023,
/// whose code backpropagates through `(I_D − π) log π_D`, π and the factor detached.
public struct DARN: FiniteOutcomeEstimator {
  public static let id = "darn"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .degree(1), order: 1,
      expertEvaluations: .gradientAtChoice, source: "arXiv 1310.8499")
  }

  public var forwardLaw: ForwardLaw { .plainDraw }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let distribution = problem.distribution
    let gating = try problem.gatingWeights()
    var outcomes: [Outcome] = []
    for i in distribution.support {
      let weight = Self.weight(of: i, gradient: try problem.choiceGradient(at: i), distribution)
      outcomes.append(
        Outcome(
          choice: [i], probability: distribution.probabilities[i], multiplier: problem.multiplier(of: i),
          gradient: .score(weight: weight + gating[i])
        ).rooted(distribution.root(i)))
    }
    return OutcomeDistribution(distribution: distribution, outcomes: outcomes)
  }

  /// `g·(I_D − π)`.
  static func weight(of choice: Int, gradient: [Double], _ distribution: RoutingDistribution) -> Double {
    (gradient[choice] - gradient[distribution.argmax]) - distribution.driftFromArgmax(gradient)
  }
}
