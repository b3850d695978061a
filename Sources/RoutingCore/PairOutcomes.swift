import Synchronization

/// What two draws can give, i ~ π and then j ~ π'(i), each with a coin, where gradients are `s (I_i − π) + t (I_j − π')`:
/// two numbers for each outcome, and the expert and the sides that they belong to.
///
/// Outcomes are in the order `[first][second][first coin][second coin]`. Those after one first draw are made together, and no more of them at
/// once is held unless there are few (``heldEvents``), or they are asked for by their places.
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
  /// Sets s and t of all events after a first draw.
  package typealias Weigh = @Sendable (_ first: Int, _ second: RoutingDistribution, _ events: inout [Event]) -> Void
  private let weigh: Weigh
  private let mostHeld: Int
  /// Where the events after each first draw begin, by its place in the support, and where the last end.
  private var starts = [0]
  private let list = EventList()

  /// All events, once they were asked for.
  private final class EventList: Sendable {
    let events = Mutex<[Event]?>(nil)
  }

  /// Up to so many events are held from the first time that any are asked for.
  package static let heldEvents = 1 << 18

  /// Says what can happen.
  ///
  /// - Parameters:
  ///   - first: π.
  ///   - followUps: π' of every expert of the support, or nothing.
  ///   - argmax: the coin of an expert that is the most probable one of its draw.
  ///   - others: the coin of any other.
  ///   - hasMultiplier: whether outputs are multiplied, by probability and side, in a forward pass.
  ///   - mostHeld: up to how many events are held.
  ///   - weigh: sets s and t of all events after a first draw, with its distribution of the second; the same whenever it is asked.
  package init(
    first: RoutingDistribution, followUps: [Int: RoutingDistribution] = [:], argmax: [Side] = [Side()],
    others: [Side] = [Side()], hasMultiplier: Bool, holding mostHeld: Int = Self.heldEvents, weigh: @escaping Weigh
  ) {
    self.first = first
    self.followUps = followUps
    coins = (argmax, others)
    self.hasMultiplier = hasMultiplier
    self.mostHeld = mostHeld
    self.weigh = weigh
    for i in first.support {
      let second = follow(i)
      let seconds = second.support.reduce(0) { $0 + coin($1, of: second).count }
      starts.append(starts[starts.count - 1] + coin(i, of: first).count * seconds)
    }
  }

  /// The number of events.
  package var count: Int { starts[starts.count - 1] }

  /// The events after the first draw at a place of the support, made anew.
  private func made(_ place: Int) -> [Event] {
    let i = first.support[place]
    let second = follow(i)
    var events: [Event] = []
    events.reserveCapacity(starts[place + 1] - starts[place])
    for j in second.support {
      for one in coin(i, of: first).indices {
        for two in coin(j, of: second).indices {
          events.append(Event(second: Int32(j), sides: (UInt16(one), UInt16(two))))
        }
      }
    }
    weigh(i, second, &events)
    return events
  }

  /// All events, which are held from then on.
  private var events: [Event] {
    list.events.withLock { events in
      if let events { return events }
      var all: [Event] = []
      all.reserveCapacity(count)
      for place in first.support.indices { all += made(place) }
      events = all
      return all
    }
  }

  /// Each first draw in turn with the events after it.
  package func forEachDraw(_ body: (_ first: Int, _ events: ArraySlice<Event>) -> Void) {
    let held: [Event]? = count <= mostHeld ? events : list.events.withLock { $0 }
    for (place, i) in first.support.enumerated() {
      body(i, held?[starts[place]..<starts[place + 1]] ?? made(place)[...])
    }
  }

  /// π' after a first draw.
  package func follow(_ i: Int) -> RoutingDistribution { followUps[i] ?? first }

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
    case .pairs(let pairs): pairs.count
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
