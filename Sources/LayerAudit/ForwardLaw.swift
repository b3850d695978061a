import RoutingCore
import RoutingEstimators

/// What experts, scale and the rest of the network see of an estimator: which experts a token goes to, and what their
/// outputs are multiplied by. Estimators that differ in the router's gradient alone share it, and with it most of an
/// audit's work.
enum ForwardLaw: Hashable {
  /// One expert drawn from π, its output shortened by a coin.
  case ray(argmax: [Side], others: [Side])
  /// Sparse forward, dense backward.
  case denseBackward
  /// The expectation over one draw.
  case expected
  /// All experts at once.
  case denseMixture
  /// The expectation over two draws without replacement.
  case expectedPairs
  /// Whatever the outcomes of this estimator say.
  case outcomes(String)

  /// A side of a coin.
  struct Side: Hashable {
    var probability: Double
    var output: Double
  }

  static let plain = ForwardLaw.ray(
    argmax: [Side(probability: 1, output: 1)], others: [Side(probability: 1, output: 1)])

  /// The law of an estimator.
  init(of estimator: any GradientEstimator) {
    switch estimator {
    case let ray as any RayEstimator:
      func sides(_ sides: [RayRule.Side]) -> [Side] {
        sides.map { Side(probability: $0.probability, output: $0.output) }
      }
      self = .ray(argmax: sides(ray.rule.argmax), others: sides(ray.rule.others))
    case is Exact: self = .expected
    case is DenseBackward: self = .denseBackward
    case is Reinforce, is StraightThrough, is ReinMax: self = .plain
    default: self = .outcomes(estimator.specification)
    }
  }

  /// Whether it is an expectation itself, without variance.
  var isAveraged: Bool {
    switch self {
    case .expected, .denseMixture, .expectedPairs: true
    default: false
    }
  }
}

/// What can happen to one token in the forward pass, in the order of the outcomes of the estimators that share the law.
struct ForwardEvents {
  /// What can happen.
  struct Event {
    var probability: Double
    /// The experts, each with what multiplies its output and what multiplies the gradient that goes back to it.
    var slots: [Slot]
  }

  struct Slot {
    var expert: Int
    var forward: Double
    var backward: Double
  }

  var events: [Event]

  /// The events of a law on a problem.
  ///
  /// - Parameter outcomes: those of an estimator of the law, where it goes by outcomes.
  /// - Throws: `Unavailable` for pairs of fewer than two experts.
  init(_ law: ForwardLaw, on problem: RoutedProblem, outcomes: OutcomeDistribution?) throws(Unavailable) {
    let distribution = problem.distribution
    let p = distribution.probabilities
    switch law {
    case .ray(let argmax, let others):
      events = distribution.support.flatMap { i in
        (i == distribution.argmax ? argmax : others).map { side in
          let m = p[i] * side.output
          return Event(
            probability: p[i] * side.probability, slots: [Slot(expert: i, forward: m, backward: m)])
        }
      }
    case .expected:
      events = distribution.support.map {
        Event(probability: p[$0], slots: [Slot(expert: $0, forward: p[$0], backward: p[$0])])
      }
    case .denseBackward:
      events = distribution.support.map { i in
        Event(
          probability: p[i],
          slots: distribution.support.map { Slot(expert: $0, forward: $0 == i ? p[i] : 0, backward: p[$0]) })
      }
    case .denseMixture:
      events = [
        Event(
          probability: 1, slots: distribution.support.map { Slot(expert: $0, forward: p[$0], backward: p[$0]) })
      ]
    case .expectedPairs:
      let pairs = try PairDistribution(problem)
      var events: [Event] = []
      for i in pairs.first.support {
        guard let second = pairs.second[i] else { continue }
        for j in second.support {
          events.append(
            Event(
              probability: pairs.probability(i, j),
              slots: [
                Slot(expert: i, forward: p[i], backward: p[i]),
                Slot(expert: j, forward: second.probabilities[j], backward: second.probabilities[j]),
              ]))
        }
      }
      self.events = events
    case .outcomes:
      guard let outcomes, outcomes.samples == 1 else { throw Unavailable("has no audit of its own") }
      events = outcomes.outcomes.map { outcome in
        Event(
          probability: outcome.probability,
          slots: zip(outcome.choice, outcome.multiplier ?? []).map { Slot(expert: $0, forward: $1, backward: $1) })
      }
    }
  }
}
