import RoutingCore

/// An estimator of the form "flip a coin, weigh the loss's slopes at some nodes of the chosen expert's ray":
/// `ĝ = π_D · Σ_k w_k (G'(c_k π_D f_D)·f_D) · (I_D − π)`, where coin and weights may depend on whether D is the argmax.
///
/// One such value is the whole estimator: outcomes, moments and samples are read off it.
public struct RayRule: Sendable, Equatable {
  /// c, the nodes that any side of any coin uses.
  public var nodes: [Double]
  /// The coin where D is the most probable expert.
  public var argmax: [Side]
  /// The coin elsewhere.
  public var others: [Side]

  /// One side of a coin.
  public struct Side: Sendable, Equatable {
    /// Its number in reports; nil if there is only one side and no coin to speak of.
    public var label: Int?
    /// The probability given D.
    public var probability: Double
    /// w, one for each node.
    public var weights: [Double]
    /// What `π_D f_D` is multiplied by in the forward pass.
    public var output: Double

    /// One side of a coin.
    public init(label: Int? = nil, probability: Double = 1, weights: [Double], output: Double = 1) {
      self.label = label
      self.probability = probability
      self.weights = weights
      self.output = output
    }

    /// `Σ_k w_k slopes_k(i)`; nodes of weight 0 are not looked at.
    @inline(__always)
    func slope(of expert: Int, in samples: RaySamples) -> Double {
      var sum = 0.0
      for (k, weight) in weights.enumerated() where weight != 0 {
        sum += weight * samples.slopes[k * samples.values.count + expert]
      }
      return sum
    }
  }

  /// A rule; the same coin everywhere unless one is given for the argmax.
  public init(nodes: [Double], argmax: [Side]? = nil, others: [Side]) {
    self.nodes = nodes
    self.argmax = argmax ?? others
    self.others = others
  }

  /// Every outcome on a problem whose slopes at ``nodes`` are known.
  package func outcomes(on distribution: RoutingDistribution, rays: RaySamples) -> OutcomeDistribution {
    OutcomeDistribution(
      distribution: distribution,
      outcomes: distribution.support.flatMap { i in
        let share = distribution.probabilities[i]
        return (i == distribution.argmax ? argmax : others).map { side in
          Outcome(
            choice: [i], coins: side.label.map { [$0] } ?? [], probability: share * side.probability,
            multiplier: [share * side.output],
            gradient: .score(weight: distribution.share(i, of: side.slope(of: i, in: rays)))
          ).rooted(distribution.root(i, times: side.probability))
        }
      })
  }
}

/// An estimator that is a ``RayRule``.
public protocol RayEstimator: FiniteOutcomeEstimator {
  /// The rule.
  var rule: RayRule { get }
}

extension RayEstimator {
  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    rule.outcomes(on: problem.distribution, rays: try problem.rays(nodes: rule.nodes))
  }
}
