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

  /// Every outcome on a problem, `[first][second][first coin][second coin]`: some 4 N² of them.
  ///
  /// - Throws: ``RoutingCore/Unavailable`` with fewer than two experts and where the loss is a table.
  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let (_, loss, directions) = try problem.computableMixture()
    let pairs = try PairDistribution(problem)
    var outcomes: [Outcome] = []
    for i in pairs.first.support {
      guard let second = pairs.second[i] else { continue }
      // All of the first choice's outcomes, then the loss at all of them together.
      var events: [(j: Int, one: Side, two: Side, a: Double, b: Double)] = []
      var points: [Double] = []
      for j in second.support {
        for one in coin(isArgmax: i == pairs.first.argmax) {
          for two in coin(isArgmax: j == second.argmax) {
            let a = one.output * pairs.first.probabilities[i]
            let b = two.output * second.probabilities[j]
            events.append((j, one, two, a, b))
            let isPlain = pairs.first.roots == nil && second.roots == nil
            points += zip(directions.row(i), directions.row(j)).map {
              isPlain
                ? a * $0 + b * $1 : pairs.first.share(i, of: one.output * $0) + second.share(j, of: two.output * $1)
            }
          }
        }
      }
      let gradients = loss.evaluate(points, count: events.count).gradients
      for (k, (j, one, two, a, b)) in events.enumerated() {
        let gradient = gradients[k * loss.dimension..<(k + 1) * loss.dimension]
        outcomes.append(
          Outcome(
            choice: [i, j], coins: [one.label, two.label],
            probability: pairs.probability(i, j) * one.probability * two.probability, multiplier: [a, b],
            gradient: .scores([
              ScoreTerm(choice: i, weight: pairs.first.share(i, of: dot(gradient, directions.row(i)))),
              ScoreTerm(
                choice: j, weight: second.share(j, of: dot(gradient, directions.row(j))), after: i),
            ])
          ).rooted(pairs.first.pairRoot(i, second, j, times: one.probability * two.probability)))
      }
    }
    return OutcomeDistribution(distribution: pairs.first, followUps: pairs.second, outcomes: outcomes)
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
