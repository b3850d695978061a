import RoutingCore

/// Straight-through: the one-hot forward, the tempered softmax backward, `ĝ = (1/τ) J(softmax(θ/τ)) ∇f(I_D)`.
///
/// At τ = 1 it is forward Euler: exact for affine f. On a mixture it acts on `F(D) = G(Σ_i D_i π_i f_i)` and adds the gating
/// sample; it then needs every expert's output.
///
/// Decoupled, the draw has a temperature of its own, `D ~ softmax(θ/τ_f)`. Held against the loss expected of draws from π it is still
/// exact for affine f, of which every ∇f is the same. Where the loss in question is that of the tempered draws, it is the plain estimator
/// on the logits θ/τ_f, with τ = τ_b/τ_f and its result over τ_f. Defined on categorical problems: on a mixture the gating samples of
/// other draws would have another mean.
///
/// *Source*: arXiv 1308.3432 (Bengio et al.); the form of arXiv 2304.08612. Two temperatures: arXiv 2410.13331.
public struct StraightThrough: FiniteOutcomeEstimator {
  public static let id = "straight-through"
  public static let parameters = [
    ParameterDeclaration("tau", .positive, standard: .number(1)),
    ParameterDeclaration("draw-tau", .positive, standard: .number(1)),
  ]

  /// τ, of the Jacobian.
  public let temperature: Double
  /// τ_f, of the draw.
  public let drawTemperature: Double

  public init(temperature: Double = 1, drawTemperature: Double = 1) {
    self.temperature = temperature
    self.drawTemperature = drawTemperature
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(temperature: values.number("tau"), drawTemperature: values.number("draw-tau"))
  }

  public var values: ParameterValues {
    // The draw's is named where it says something.
    drawTemperature == 1
      ? ["tau": .number(temperature)] : ["tau": .number(temperature), "draw-tau": .number(drawTemperature)]
  }

  public var claims: Claims {
    Claims(
      kinds: drawTemperature == 1 ? [.categorical, .mixture] : [.categorical], target: .expectedLoss,
      exactness: temperature == 1 ? .degree(1) : .none, order: temperature == 1 ? 1 : 0,
      expertEvaluations: .gradientAtChoice, source: drawTemperature == 1 ? "arXiv 1308.3432" : "arXiv 2410.13331")
  }

  public var forwardLaw: ForwardLaw { drawTemperature == 1 ? .plainDraw : .outcomes(of: specification) }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let tempered = problem.tempered(temperature)
    guard drawTemperature != 1 else {
      return try problem.choiceOutcomes { _, gradient in tempered.jacobianProduct(gradient, over: temperature) }
    }
    try requireDefined(on: problem)
    let draws = problem.tempered(drawTemperature)
    var outcomes: [Outcome] = []
    for i in draws.support {
      outcomes.append(
        Outcome(
          choice: [i], probability: draws.probabilities[i],
          gradient: .dense(tempered.jacobianProduct(try problem.choiceGradient(at: i), over: temperature))
        ).rooted(draws.root(i)))
    }
    return OutcomeDistribution(distribution: draws, outcomes: outcomes)
  }
}

extension StraightThrough: ChoiceEstimator {
  package var choiceRule: ChoiceRule { .throughScores(temperature: temperature) }
}
