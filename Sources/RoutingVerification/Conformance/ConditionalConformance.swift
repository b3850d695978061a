import RoutingCore

/// Compares foreign gradients with an estimator's, outcome by outcome: given the draw every gradient is a number, and no
/// statistics are needed.
///
/// A foreign implementation that does not tell its coins is held to the outcomes with its choice, whichever is nearest.
///
/// *Numerics*: coordinates may differ by the tolerance ε, an absolute number that stands for rounding.
public struct ConditionalConformance: Sendable {
  /// The claimed outcomes, in the estimator's order.
  package let outcomes: [Outcome]
  /// ε.
  package let tolerance: Double
  /// Outcomes that are told apart: their probabilities, by group. Where coins are not told a group holds all outcomes of
  /// one choice.
  package let groupProbabilities: [Double]
  /// The largest deviation of a coordinate so far.
  public private(set) var largestDeviation = 0.0
  /// The number of gradients compared.
  public private(set) var compared = 0

  private let distribution: OutcomeDistribution
  private let tellsCoins: Bool
  private let groups: [[Int]: Int]
  private let members: [[Int]]
  private var gradients: [[Double]?]
  private var isSeen: [Bool]

  /// Prepares to compare.
  ///
  /// - Parameters:
  ///   - distribution: the claimed outcomes.
  ///   - tolerance: ε ≥ 0.
  ///   - tellsCoins: whether draws come with their coins.
  /// - Throws: `Unavailable` if there are more outcomes than are written out.
  public init(with distribution: OutcomeDistribution, tolerance: Double, tellsCoins: Bool) throws(Unavailable) {
    self.distribution = distribution
    self.tolerance = tolerance
    self.tellsCoins = tellsCoins
    let outcomes = try distribution.enumerated()
    self.outcomes = outcomes
    var groups: [[Int]: Int] = [:]
    var members: [[Int]] = []
    for (index, outcome) in outcomes.enumerated() {
      let key = Self.key(outcome.choice, tellsCoins ? outcome.coins : nil)
      if let group = groups[key] {
        members[group].append(index)
      } else {
        groups[key] = members.count
        members.append([index])
      }
    }
    groupProbabilities = members.map { places in
      var sum = CompensatedSum()
      for place in places { sum += outcomes[place].probability }
      return min(max(sum.value, 0), 1)
    }
    self.groups = groups
    self.members = members
    gradients = [[Double]?](repeating: nil, count: outcomes.count)
    isSeen = [Bool](repeating: false, count: members.count)
  }

  /// How many groups of positive probability were seen, how many there are, and the probability of those not seen.
  public var coverage: (seen: Int, all: Int, unseenProbability: Double) {
    var (seen, all, unseen) = (0, 0, CompensatedSum())
    for (group, probability) in groupProbabilities.enumerated() where probability > 0 {
      all += 1
      if isSeen[group] { seen += 1 } else { unseen += probability }
    }
    return (seen, all, unseen.value)
  }

  /// The group of a draw, if the claim has one of positive probability.
  func group(of draw: ForeignDraw) -> Int? {
    let choice = distribution.areSets ? draw.choice.sorted() : draw.choice
    return groups[Self.key(choice, tellsCoins ? draw.coins ?? [] : nil)].flatMap {
      groupProbabilities[$0] > 0 ? $0 : nil
    }
  }

  /// Compares one gradient.
  ///
  /// - Parameters:
  ///   - gradient: `[experts]`.
  ///   - draw: what was drawn.
  ///   - row: its number, for the counter-example.
  /// - Returns: the group of the draw, or what is wrong.
  public mutating func compare(
    _ gradient: some RandomAccessCollection<Double>, of draw: ForeignDraw, row: Int
  ) -> Result<Int, Mismatch> {
    guard let group = group(of: draw) else {
      return .failure(
        Mismatch(ForeignCounterExample(.unknownOutcome, row: row, draw: draw, found: Array(gradient), expected: [])))
    }
    var nearest: (deviation: Double, coordinate: Int, place: Int)?
    for place in members[group] {
      let claimed = claimedGradient(place)
      var worst = (deviation: 0.0, coordinate: 0)
      for (k, (found, expected)) in zip(gradient, claimed).enumerated() {
        let deviation = (found - expected).magnitude
        if !(deviation <= worst.deviation) { worst = (deviation.isNaN ? .infinity : deviation, k) }
      }
      if nearest.map({ worst.deviation < $0.deviation }) ?? true {
        nearest = (worst.deviation, worst.coordinate, place)
      }
    }
    guard let nearest else { preconditionFailure("a group has members") }
    compared += 1
    largestDeviation = max(largestDeviation, nearest.deviation)
    isSeen[group] = true
    guard nearest.deviation <= tolerance else {
      return .failure(
        Mismatch(
          ForeignCounterExample(
            .gradient, row: row, draw: draw, coordinate: nearest.coordinate, found: Array(gradient),
            expected: claimedGradient(nearest.place))))
    }
    return .success(group)
  }

  /// A draw that refutes the claim.
  public struct Mismatch: Error, Sendable, Equatable {
    /// What was found.
    public let counterExample: ForeignCounterExample
    init(_ counterExample: ForeignCounterExample) { self.counterExample = counterExample }
  }

  /// What belongs to the experts of a draw, one number for each, in the order in which claimed choices list them.
  func arranged(_ numbers: [Double], of draw: ForeignDraw) -> [Double] {
    guard distribution.areSets, numbers.count == draw.choice.count else { return numbers }
    return zip(draw.choice, numbers).sorted { $0.0 < $1.0 }.map(\.1)
  }

  /// The claimed outcomes with a draw's choice and coins.
  func members(of group: Int) -> [Outcome] { members[group].map { outcomes[$0] } }

  private mutating func claimedGradient(_ place: Int) -> [Double] {
    if let gradient = gradients[place] { return gradient }
    let gradient = distribution.gradient(of: outcomes[place])
    gradients[place] = gradient
    return gradient
  }

  /// Choice and coins in one list; −1 stands between them.
  private static func key(_ choice: [Int], _ coins: [Int]?) -> [Int] { coins.map { choice + [-1] + $0 } ?? choice }
}
