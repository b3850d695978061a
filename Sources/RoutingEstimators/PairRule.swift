import RoutingCore

/// An estimator of two experts, i ~ π and j ~ π' from those left, of the form "flip a coin for each, run
/// `y = c π_i f_i + c' π'_j f_j`, and take the slopes there":
/// `ĝ = π_i (G'(y)·f_i)(I_i − π) + π'_j (G'(y)·f_j)(I_j − π')`, where a coin may depend on whether its expert is the most
/// probable one of its draw.
public struct PairRule: Sendable, Equatable {
  /// The coin where the expert drawn is the most probable one.
  public var argmax: [Side]
  /// The coin elsewhere.
  public var others: [Side]

  /// One side of a coin.
  public struct Side: Sendable, Equatable {
    /// Its number in reports.
    public var label: Int
    /// The probability given the expert.
    public var probability: Double
    /// What the expert's probability is multiplied by in the forward pass.
    public var output: Double

    /// One side of a coin.
    public init(label: Int, probability: Double, output: Double) {
      self.label = label
      self.probability = probability
      self.output = output
    }
  }

  /// A rule; the coins' probabilities sum to one.
  public init(argmax: [Side], others: [Side]) {
    self.argmax = argmax
    self.others = others
  }

  /// The coin of an expert.
  public func coin(isArgmax: Bool) -> [Side] { isArgmax ? argmax : others }

  /// Every outcome on a problem, `[first][second][first coin][second coin]`: some 4 N² of them; those after one first draw are made at a time.
  ///
  /// - Throws: ``Unavailable`` with fewer than two experts and where the loss is a table.
  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let (_, loss, directions) = try problem.computableMixture()
    let pairs = try PairDistribution(problem)
    let d = loss.dimension
    func sides(_ sides: [Side]) -> [PairOutcomes.Side] {
      sides.map { PairOutcomes.Side(label: $0.label, probability: $0.probability, output: $0.output) }
    }
    return OutcomeDistribution(
      PairOutcomes(
        first: pairs.first, followUps: pairs.second, argmax: sides(argmax), others: sides(others), hasMultiplier: true
      ) { i, second, events in
        // All of the first choice's outcomes, then the loss at all of them together.
        var points: [Double] = []
        points.reserveCapacity(events.count * d)
        let isPlain = pairs.first.roots == nil && second.roots == nil
        for event in events {
          let j = Int(event.second)
          let one = coin(isArgmax: i == pairs.first.argmax)[Int(event.sides.one)]
          let two = coin(isArgmax: j == second.argmax)[Int(event.sides.two)]
          let (a, b) = (one.output * pairs.first.probabilities[i], two.output * second.probabilities[j])
          for e in 0..<d {
            let (x, y) = (directions[i, e], directions[j, e])
            points.append(
              isPlain
                ? a * x + b * y : pairs.first.share(i, of: one.output * x) + second.share(j, of: two.output * y))
          }
        }
        let gradients = loss.evaluate(points, count: events.count).gradients
        for k in events.indices {
          let (j, gradient) = (Int(events[k].second), gradients[k * d..<(k + 1) * d])
          events[k].weights.first = pairs.first.share(i, of: dot(gradient, directions.row(i)))
          events[k].weights.second = second.share(j, of: dot(gradient, directions.row(j)))
        }
      })
  }
}

/// An estimator that is a ``PairRule``.
public protocol PairRuleEstimator: FiniteOutcomeEstimator {
  /// The rule.
  var pairRule: PairRule { get }
}

extension PairRuleEstimator {
  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    try pairRule.outcomes(of: problem)
  }

  public var forwardLaw: ForwardLaw {
    func sides(_ sides: [PairRule.Side]) -> [ForwardLaw.Side] {
      sides.map { ForwardLaw.Side(probability: $0.probability, output: $0.output) }
    }
    return .pair(argmax: sides(pairRule.argmax), others: sides(pairRule.others))
  }
}
