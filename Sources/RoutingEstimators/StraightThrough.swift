import RoutingCore

/// Straight-through: the one-hot forward, the tempered softmax backward, `ĝ = (1/τ) J(softmax(θ/τ)) ∇f(I_D)`.
///
/// At τ = 1 it is forward Euler: exact for affine f. On a mixture it acts on `F(D) = G(Σ_i D_i π_i f_i)` and adds the gating
/// sample; it then needs every expert's output.
///
/// *Source*: arXiv 1308.3432 (Bengio et al.); the form of arXiv 2304.08612.
public struct StraightThrough: FiniteOutcomeEstimator {
  public static let id = "straight-through"
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
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: temperature == 1 ? .degree(1) : .none,
      order: temperature == 1 ? 1 : 0, expertEvaluations: .gradientAtChoice, source: "arXiv 1308.3432")
  }

  public var forwardLaw: ForwardLaw { .plainDraw }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let tempered = problem.tempered(temperature)
    return try problem.choiceOutcomes { _, gradient in
      tempered.jacobianProduct(gradient, over: temperature)
    }
  }
}

extension StraightThrough: ChoiceEstimator {
  package var choiceRule: ChoiceRule { .throughScores(temperature: temperature) }
}
