import LayerTensors
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Whose gradient a pass finds: an estimator's, or a target.
enum Subject: Sendable {
  case estimator(any GradientEstimator)
  case target(GradientTarget, draws: Int)

  var isTarget: Bool { if case .target = self { true } else { false } }

  /// Whether it is a rule of pairs, whose outcomes need not be listed.
  var isOfPairs: Bool {
    if case .estimator(let estimator) = self { estimator is any PairRuleEstimator } else { false }
  }

  /// The router's gradient for a token.
  func outcomes(on problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    switch self {
    case .estimator(let estimator): try estimator.finiteOutcomes(on: problem)
    case .target(let target, let draws):
      OutcomeDistribution(
        distribution: problem.distribution,
        outcomes: [
          Outcome(choice: [], probability: 1, gradient: .dense(try target.gradient(of: problem, draws: draws)))
        ])
    }
  }
}

/// A mean gradient that estimators are held against, or that is written out.
struct MeanGradient: Sendable {
  /// `E ĝ_t`, `[tokens, experts]`.
  var logits: [Double] = []
  /// Times T: the mean of each token's own gradient, `[tokens, inputs]`.
  var input: [Double] = []
}
