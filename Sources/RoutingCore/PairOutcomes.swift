/// What two draws can give, i ~ π and then j ~ π'(i), each with a coin, where gradients are `s (I_i − π) + t (I_j − π')`:
/// two numbers for each outcome, and the expert and the sides that they belong to.
///
/// Outcomes are in the order `[first][second][first coin][second coin]`.
package struct PairOutcomes: Sendable {
  /// One side of a coin.
  package struct Side: Sendable {
    /// Its number in reports; nil if there is no coin to speak of.
    package var label: Int?
    /// The probability given the expert.
    package var probability: Double
    /// What the expert's probability is multiplied by in the forward pass.
    package var output: Double

    package init(label: Int? = nil, probability: Double = 1, output: Double = 1) {
      self.label = label
      self.probability = probability
      self.output = output
    }
  }

  /// An outcome, given the first draw.
  package struct Event: Sendable {
    /// j.
    package var second: Int32
    /// Which sides the coins show.
    package var sides: (one: UInt16, two: UInt16)
    /// s and t.
    package var weights: (first: Double, second: Double) = (0, 0)
  }

  /// π.
  package let first: RoutingDistribution
  /// π', by the first draw; empty where the draws are independent, π' = π.
  package let followUps: [Int: RoutingDistribution]
  private let coins: (argmax: [Side], others: [Side])
  private let hasMultiplier: Bool
  package private(set) var events: [Event] = []
  /// Where the events after each first draw begin, by its place in the support, and where the last end.
  private var starts = [0]

  /// Lists outcomes.
  ///
  /// - Parameters:
  ///   - first: π.
  ///   - followUps: π' of every expert of the support, or nothing.
  ///   - argmax: the coin of an expert that is the most probable one of its draw.
  ///   - others: the coin of any other.
  ///   - hasMultiplier: whether outputs are multiplied, by probability and side, in a forward pass.
  ///   - weigh: sets s and t of all events after a first draw, with its distribution of the second.
  package init<Failure>(
    first: RoutingDistribution, followUps: [Int: RoutingDistribution] = [:], argmax: [Side] = [Side()],
    others: [Side] = [Side()], hasMultiplier: Bool,
    weigh: (_ first: Int, _ second: RoutingDistribution, _ events: inout [Event]) throws(Failure) -> Void
  ) throws(Failure) {
    self.first = first
    self.followUps = followUps
    coins = (argmax, others)
    self.hasMultiplier = hasMultiplier
    var part: [Event] = []
    for i in first.support {
      let second = follow(i)
      part.removeAll(keepingCapacity: true)
      for j in second.support {
        for one in coin(i, of: first).indices {
          for two in coin(j, of: second).indices {
            part.append(Event(second: Int32(j), sides: (UInt16(one), UInt16(two))))
          }
        }
      }
      try weigh(i, second, &part)
      events += part
      starts.append(events.count)
    }
  }

  /// π' after a first draw.
  package func follow(_ i: Int) -> RoutingDistribution { followUps[i] ?? first }

  /// The events after each first draw, as places of ``events``.
  package var draws: [(first: Int, events: Range<Int>)] {
    first.support.enumerated().map { ($1, starts[$0]..<starts[$0 + 1]) }
  }

  /// The coin of an expert drawn from a distribution.
  private func coin(_ expert: Int, of distribution: RoutingDistribution) -> [Side] {
    expert == distribution.argmax ? coins.argmax : coins.others
  }

  /// The sides that the coins show at an event after i, which ``follow(_:)`` then says the second draw of.
  package func sides(_ event: Event, after i: Int, _ second: RoutingDistribution) -> (one: Side, two: Side) {
    (coin(i, of: first)[Int(event.sides.one)], coin(Int(event.second), of: second)[Int(event.sides.two)])
  }

  /// The probability of an event after i.
  package func probability(of event: Event, after i: Int, _ second: RoutingDistribution) -> Double {
    let (one, two) = sides(event, after: i, second)
    return first.probabilities[i] * second.probabilities[Int(event.second)] * one.probability * two.probability
  }

  /// The first draw of the event at a place.
  package func firstDraw(at place: Int) -> Int {
    var (low, high) = (0, first.support.count - 1)
    while low < high {
      let middle = (low + high + 1) / 2
      if starts[middle] <= place { low = middle } else { high = middle - 1 }
    }
    return first.support[low]
  }

  /// The terms of the gradient of the event at a place.
  package func terms(at place: Int) -> (ScoreTerm, ScoreTerm) {
    let (i, event) = (firstDraw(at: place), events[place])
    return (
      ScoreTerm(choice: i, weight: event.weights.first),
      ScoreTerm(choice: Int(event.second), weight: event.weights.second, after: followUps.isEmpty ? nil : i)
    )
  }

  /// The probability of the event at a place, and its root where that is needed.
  package func law(at place: Int) -> (probability: Double, root: Double?) {
    let (i, event) = (firstDraw(at: place), events[place])
    let (j, second) = (Int(event.second), follow(i))
    let (one, two) = sides(event, after: i, second)
    return (
      probability(of: event, after: i, second),
      first.pairRoot(i, second, j, times: one.probability * two.probability)
    )
  }

  /// The outcome at a place, written out.
  package func outcome(at place: Int) -> Outcome {
    let (i, event) = (firstDraw(at: place), events[place])
    let (j, second) = (Int(event.second), follow(i))
    let (one, two) = sides(event, after: i, second)
    let (terms, law) = (terms(at: place), law(at: place))
    return Outcome(
      choice: [i, j], coins: [one.label, two.label].compactMap { $0 }, probability: law.probability,
      multiplier: hasMultiplier
        ? [one.output * first.probabilities[i], two.output * second.probabilities[j]] : nil,
      gradient: .scores([terms.0, terms.1])
    ).rooted(law.root)
  }

  /// Whether all probabilities are large enough to be multiplied by as they are.
  var isPlain: Bool { first.roots == nil && followUps.values.allSatisfy { $0.roots == nil } }
}

/// Outcomes in order: a list, kept compact where gradients are pairs of score terms.
///
/// - Complexity: an outcome of a pair is written out when it is asked for.
public struct OutcomeList: RandomAccessCollection, Sendable, Equatable {
  enum Storage: Sendable {
    case listed([Outcome])
    case pairs(PairOutcomes)
  }

  let storage: Storage

  /// The outcomes as pairs of score terms, if that is what they are.
  package var pairs: PairOutcomes? { if case .pairs(let pairs) = storage { pairs } else { nil } }

  /// The probability at a place, and its root where that is needed.
  package func law(at place: Int) -> (probability: Double, root: Double?) {
    switch storage {
    case .listed(let outcomes): (outcomes[place].probability, outcomes[place].root)
    case .pairs(let pairs): pairs.law(at: place)
    }
  }

  public var startIndex: Int { 0 }

  public var endIndex: Int {
    switch storage {
    case .listed(let outcomes): outcomes.count
    case .pairs(let pairs): pairs.events.count
    }
  }

  public subscript(place: Int) -> Outcome {
    switch storage {
    case .listed(let outcomes): outcomes[place]
    case .pairs(let pairs): pairs.outcome(at: place)
    }
  }

  public static func == (a: OutcomeList, b: OutcomeList) -> Bool { a.elementsEqual(b) }
}
