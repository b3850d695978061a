import RouteGrad

/// A rule for categorical problems and mixtures: half the slope between the choice and every alternative,
/// `ĝ_k = ½ π_k (w_k − w_D)` for k ≠ D with `w = ∂F/∂D(I_D)`, and `ĝ_D` so that the sum is zero.
public struct HeunPairs: FiniteOutcomeEstimator {
  public static let id = "heun-pairs"
  public static let parameters = [ParameterDeclaration("factor", .positive, standard: .number(1))]

  /// What the routing part is multiplied by.
  public let factor: Double

  public init(factor: Double = 1) { self.factor = factor }
  public init(_ values: ParameterValues) throws(InvalidEstimator) { self.init(factor: values.number("factor")) }
  public var values: ParameterValues { ["factor": .number(factor)] }

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: factor == 1 ? .degree(2) : .none,
      order: factor == 1 ? 2 : 0, expertEvaluations: .gradientAtChoice, source: "this package")
  }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let pi = problem.distribution.probabilities
    return try problem.choiceOutcomes { choice, w in
      var sample = pi.indices.map { 0.5 * factor * pi[$0] * (w[$0] - w[choice]) }
      sample[choice] = -sample.reduce(0, +)
      return sample
    }
  }
}
