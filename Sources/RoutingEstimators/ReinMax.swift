import RoutingCore

/// ReinMax: Heun's method where straight-through is Euler's,
/// `ĝ = 2 J(½(softmax(θ/τ) + I_D)) ∇f(I_D) − ½ J(π) ∇f(I_D)`, without a factor 1/τ, as the published code has it.
///
/// Exact for quadratic f at τ = 1, where it is ``ZGR``. On a mixture it acts on `F(D) = G(Σ_i D_i π_i f_i)` and adds the gating sample; it then
/// needs every expert's output.
///
/// *Numerics*: `½(softmax + I_D)` is largest at D, where its Jacobian product is centred.
///
/// *Source*: arXiv 2304.08612, algorithm 2; the package `reinmax` 0.1.0.
public struct ReinMax: FiniteOutcomeEstimator {
  public static let id = "reinmax"
  public static let parameters = [ParameterDeclaration("tau", .positive, standard: .number(1))]

  /// τ.
  public let temperature: Double

  public init(temperature: Double = 1) { self.temperature = temperature }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(temperature: values.number("tau"))
  }

  public var values: ParameterValues { ["tau": .number(temperature)] }

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: temperature == 1 ? .degree(2) : .none,
      order: temperature == 1 ? 2 : 0, expertEvaluations: .gradientAtChoice, source: "arXiv 2304.08612")
  }

  public var forwardLaw: ForwardLaw { .plainDraw }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let tempered = problem.tempered(temperature)
    return try problem.choiceOutcomes { choice, gradient in
      var halved = tempered.probabilities.map { 0.5 * $0 }
      halved[choice] += 0.5
      // A share of a half is half a share, but for the choice, whose probability is not small.
      let heun =
        tempered.roots == nil
        ? centredProduct(probabilities: halved, weights: gradient, centre: choice, support: tempered.support)
        : centredProduct(weights: gradient, centre: choice, support: tempered.support) {
          $0 == choice ? halved[choice] * $1 : 0.5 * tempered.share($0, of: $1)
        }
      let euler = problem.distribution.jacobianProduct(gradient)
      return zip(heun, euler).map { 2 * $0 - 0.5 * $1 }
    }
  }
}
