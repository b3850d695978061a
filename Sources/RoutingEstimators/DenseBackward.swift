import RoutingCore

/// Sparse forward, dense backward: `y = π_D f_D`, `ĝ = J(π) [G'(π_D f_D)·f_i]_i`. Needs every expert's output.
///
/// *Source*: arXiv 2504.12463 (the straight-through form); DenseMixer.
public struct DenseBackward: FiniteOutcomeEstimator {
  public static let id = "dense-backward"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .denseBackward, exactness: .all, expertEvaluations: .everyExpert,
      source: "arXiv 2504.12463")
  }

  public var forwardLaw: ForwardLaw { .denseBackward }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    _ = try problem.computableMixture()
    let distribution = problem.distribution
    var outcomes: [Outcome] = []
    for i in distribution.support {
      outcomes.append(
        Outcome(
          choice: [i], probability: distribution.probabilities[i], multiplier: problem.multiplier(of: i),
          gradient: .dense(distribution.jacobianProduct(try problem.denseSlopes(at: i)))
        ).rooted(distribution.root(i)))
    }
    return OutcomeDistribution(distribution: distribution, outcomes: outcomes)
  }
}

extension DenseBackward: ChoiceEstimator {
  package var choiceRule: ChoiceRule { .dense(toEveryExpert: true) }
}
