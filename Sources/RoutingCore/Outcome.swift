/// One thing that can happen when an estimator is run once: the choice, the coins, and the gradient that follows.
public struct Outcome: Sendable, Equatable {
  /// The experts drawn, in order of drawing; empty if the estimator draws none.
  public var choice: [Int]
  /// One entry per coin of the estimator; 1 stands for the full output, a one-node rule gives the node's index.
  public var coins: [Int]
  /// The probability of this outcome.
  public var probability: Double
  /// What scales each chosen expert's output in the forward pass; nil on categorical problems.
  public var multiplier: [Double]?
  /// The gradient sample.
  public var gradient: OutcomeGradient
  /// `√probability`, where the probability is too small to be multiplied by (``RoutingDistribution/share(_:of:)``).
  package var root: Double?

  /// Describes one outcome.
  public init(
    choice: [Int], coins: [Int] = [], probability: Double, multiplier: [Double]? = nil, gradient: OutcomeGradient
  ) {
    self.choice = choice
    self.coins = coins
    self.probability = probability
    self.multiplier = multiplier
    self.gradient = gradient
  }

  /// The same outcome with the root of its probability, or without one.
  package func rooted(_ root: Double?) -> Outcome {
    var outcome = self
    outcome.root = root
    return outcome
  }
}

/// A gradient sample, kept compact where it is a multiple of `∂ log π_D = I_D − π`.
public enum OutcomeGradient: Sendable, Equatable {
  /// `weight · (I_D − π)`, D the outcome's first choice.
  case score(weight: Double)
  /// A sum of such terms (top-2, leave-one-out pairs).
  case scores([ScoreTerm])
  /// Any vector, `[experts]`.
  case dense([Double])
}

/// `weight · (I_choice − π)`, with π of the first draw, or of the second draw given the first.
public struct ScoreTerm: Sendable, Equatable {
  /// The index of the one-hot.
  public var choice: Int
  /// The factor.
  public var weight: Double
  /// Nil for the first draw's π; else the first draw, whose follow-up distribution π' is meant.
  public var after: Int?

  /// One term of a gradient sample.
  public init(choice: Int, weight: Double, after: Int? = nil) {
    self.choice = choice
    self.weight = weight
    self.after = after
  }
}
