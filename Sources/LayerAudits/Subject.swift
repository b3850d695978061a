import LayerTensors
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Whose gradient a pass finds: an estimator's, or a target.
enum Subject: Sendable {
  case estimator(any GradientEstimator)
  case target(GradientTarget, draws: Draws)

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
          Outcome(
            choice: [], probability: 1,
            gradient: .dense(try target.gradient(of: problem, draws: draws.count, subsets: draws.subsets)))
        ])
    }
  }
}

/// How experts are drawn, on which it depends what an expected loss is.
struct Draws: Sendable, Hashable {
  /// So many without replacement, in order.
  var count = 1
  /// Subsets by this law, if they are.
  var subsets: SubsetLaw?

  init(_ claims: Claims) { (count, subsets) = (claims.draws, claims.subsets) }
  init() {}
}

/// A mean gradient that estimators are held against, or that is written out.
struct MeanGradient: Sendable {
  /// `E ĝ_t`, `[tokens, experts]`.
  var logits: [Double] = []
  /// Times T: the mean of each token's own gradient, `[tokens, inputs]`.
  var input: [Double] = []
}
