import RoutingCore
import RoutingEstimators

/// What can happen to one token in the forward pass under a ``ForwardLaw``, in the order of the outcomes of the
/// estimators that share it; of two draws, what can happen after some of the first.
struct ForwardEvents {
  /// One thing that can happen.
  struct Event {
    var probability: Double
    /// Its places in ``slots``.
    var slots: Range<Int>
  }

  /// An expert that takes part, with what multiplies its output and what multiplies the gradient that goes back to it.
  struct Slot {
    var event: Int
    var expert: Int
    var forward: Double
    var backward: Double
    /// Whether it is the expert's stand-in that takes part; nothing goes back to it.
    var isStandIn = false
  }

  private(set) var events: [Event] = []
  private(set) var slots: [Slot] = []

  /// The number of events.
  var count: Int { events.count }

  /// The places of each expert's slots, in the order of the events, `[experts]`.
  func slotsByExpert(_ experts: Int) -> [[Int]] {
    var places = [[Int]](repeating: [], count: experts)
    for (place, slot) in slots.enumerated() where !slot.isStandIn { places[slot.expert].append(place) }
    return places
  }

  /// The slots of some events.
  func slots(of range: Range<Int>) -> ArraySlice<Slot> {
    guard let first = range.first, let last = range.last else { return [] }
    return slots[events[first].slots.lowerBound..<events[last].slots.upperBound]
  }

  /// Of all events, or of some, those with the same expert in their first slot, which follow on each other.
  func byFirstSlot(_ range: Range<Int>? = nil) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var expert: Int?
    for k in range ?? 0..<count {
      let own = slots[events[k].slots.lowerBound].expert
      if own == expert, let last = ranges.last {
        ranges[ranges.count - 1] = last.lowerBound..<k + 1
      } else {
        ranges.append(k..<k + 1)
        expert = own
      }
    }
    return ranges
  }

  private mutating func add(_ probability: Double, _ parts: [(expert: Int, forward: Double, backward: Double)]) {
    let first = slots.count
    for part in parts {
      slots.append(Slot(event: events.count, expert: part.expert, forward: part.forward, backward: part.backward))
    }
    events.append(Event(probability: probability, slots: first..<slots.count))
  }

  /// The most subsets of a token's experts that are gone through.
  static let mostSubsets = 4096

  /// No events.
  init() {}

  /// The events of a law on a problem.
  ///
  /// - Parameters:
  ///   - pairs: the two draws, for laws of pairs.
  ///   - firsts: of laws of pairs, the places in the support of the first draws that are asked for.
  ///   - outcomes: those of an estimator of the law, where it goes by outcomes.
  /// - Throws: `Unavailable` where the outcomes do not say what experts see.
  init(
    _ law: ForwardLaw, on problem: RoutedProblem, pairs: PairDistribution?, firsts: Range<Int>,
    outcomes: OutcomeDistribution?
  ) throws(Unavailable) {
    let distribution = problem.distribution
    let (p, support) = (distribution.probabilities, distribution.support)
    switch law {
    case .draw(let argmax, let others):
      for i in support {
        for side in i == distribution.argmax ? argmax : others {
          let m = p[i] * side.output
          add(p[i] * side.probability, [(i, m, m)])
        }
      }
    case .expectation(draws: 1):
      for i in support { add(p[i], [(i, p[i], p[i])]) }
    case .denseBackward:
      for i in support { add(p[i], support.map { ($0, $0 == i ? p[i] : 0, p[$0]) }) }
    case .standIns(let count):
      let mixture = try problem.mixture()
      guard mixture.standInDirections != nil else { throw Unavailable("needs defaultOutputs") }
      let chosen = DefaultMoE.chosen(count, mixture.logits)
      add(1, chosen.map { ($0, p[$0], p[$0]) })
      for i in support where !chosen.contains(i) {
        slots.append(Slot(event: 0, expert: i, forward: p[i], backward: p[i], isStandIn: true))
      }
      events[0].slots = 0..<slots.count
    case .denseMixture:
      add(1, support.map { ($0, p[$0], p[$0]) })
    case .expectation:
      addPairs(pairs, firsts, argmax: [ForwardLaw.Side()], others: [ForwardLaw.Side()])
    case .pair(let argmax, let others):
      addPairs(pairs, firsts, argmax: argmax, others: others)
    case .subsets(let law), .expectationOfSubsets(let law):
      let subsets = try SubsetDistribution(law, of: problem)
      guard subsets.count <= Double(Self.mostSubsets) else {
        throw Unavailable("has more than \(Self.mostSubsets) subsets of a token's experts, which are not audited")
      }
      for subset in try subsets.subsets() {
        add(subsets.probability(of: subset).value, subset.map { ($0, p[$0], p[$0]) })
      }
    case .outcomes:
      guard let outcomes, outcomes.samples == 1 else { throw Unavailable("has no audit of its own") }
      for outcome in outcomes.outcomes {
        add(outcome.probability, zip(outcome.choice, outcome.multiplier ?? []).map { ($0, $1, $1) })
      }
    }
  }

  private mutating func addPairs(
    _ pairs: PairDistribution?, _ firsts: Range<Int>, argmax: [ForwardLaw.Side], others: [ForwardLaw.Side]
  ) {
    guard let pairs else { return }
    let p = pairs.first.probabilities
    for i in pairs.first.support[firsts] {
      guard let second = pairs.second[i] else { continue }
      for j in second.support {
        let probability = pairs.probability(i, j)
        for one in i == pairs.first.argmax ? argmax : others {
          let a = one.output * p[i]
          for two in j == second.argmax ? argmax : others {
            let b = two.output * second.probabilities[j]
            let (event, first) = (events.count, slots.count)
            slots.append(Slot(event: event, expert: i, forward: a, backward: a))
            slots.append(Slot(event: event, expert: j, forward: b, backward: b))
            events.append(
              Event(probability: probability * one.probability * two.probability, slots: first..<first + 2))
          }
        }
      }
    }
  }
}

extension ForwardLaw {
  /// Whether it is an expectation itself, without variance.
  var isAveraged: Bool {
    switch self {
    case .expectation, .expectationOfSubsets, .denseMixture: true
    default: false
    }
  }

  /// Whether its events are pairs of draws.
  var isOfPairs: Bool {
    switch self {
    case .expectation(let draws): draws == 2
    case .pair: true
    default: false
    }
  }

  /// At most so many events of a token, and so many slots of one expert among them; after one first draw, for laws of pairs.
  func size(experts n: Int) -> (events: Int, slots: Int) {
    switch self {
    case .draw(let argmax, let others):
      let sides = max(argmax.count, others.count)
      return (n * sides, sides)
    case .denseBackward: return (n, n)
    case .expectation: return (n, n)
    case .denseMixture, .standIns: return (1, 1)
    case .pair(let argmax, let others):
      let sides = max(argmax.count, others.count)
      return (n * sides * sides, n * sides * sides)
    case .subsets(let law), .expectationOfSubsets(let law):
      func ways(_ n: Int, _ k: Int) -> Int {
        var ways = 1
        for drawn in 0..<max(k, 0) where ways <= ForwardEvents.mostSubsets { ways = ways * (n - drawn) / (drawn + 1) }
        return ways
      }
      let all = law.sizes.reduce(0) { min($0 + ways(n, $1), ForwardEvents.mostSubsets) }
      let own = law.sizes.reduce(0) { min($0 + ways(n - 1, $1 - 1), ForwardEvents.mostSubsets) }
      return (max(all, 1), max(own, 1))
    case .outcomes: return (4 * n, 8 * n)
    }
  }

  /// The probability that each expert is sent nothing, `[experts]`, formed without subtraction.
  ///
  /// With pairs, `Σ_{i≠k} π_i (1 − π'_k(i))`.
  func idle(on problem: RoutedProblem, pairs: PairDistribution?, events: ForwardEvents) -> [Double] {
    let (n, distribution) = (problem.experts, problem.distribution)
    var idle = [Double](repeating: 0, count: n)
    switch self {
    case .draw, .expectation(draws: 1): return distribution.complements
    case .denseBackward, .denseMixture: return idle
    case .expectation, .pair:
      guard let pairs else { return idle }
      for i in pairs.first.support {
        guard let second = pairs.second[i] else { continue }
        for k in 0..<n where k != i { idle[k] += pairs.first.probabilities[i] * second.complements[k] }
      }
    case .outcomes, .standIns, .subsets, .expectationOfSubsets:
      for event in events.events {
        var takesPart = [Bool](repeating: false, count: n)
        for slot in events.slots[event.slots] where !slot.isStandIn { takesPart[slot.expert] = true }
        for k in 0..<n where !takesPart[k] { idle[k] += event.probability }
      }
    }
    return idle
  }
}
