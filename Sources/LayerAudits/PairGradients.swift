import LayerTensors
import RoutingCore
import RoutingEstimators

/// The router's gradients of a ``PairRuleEstimator`` after some first draws, without a list of outcomes:
/// `ĝ = s (I_i − π) + t (I_j − π'(i))` with `s = π_i G'·r_i` and `t = π'_j G'·r_j`.
struct PairGradients {
  /// s and t of each event.
  private(set) var first: [Double] = []
  private(set) var second: [Double] = []
  /// The moments of ĝ, with the probability of these first draws as their weight.
  private(set) var moments: WeightedMoments
  /// The first draws, each with the places of its events among these.
  private(set) var draws: [(first: Int, places: Range<Int>)] = []
  /// The first of these events.
  private let start: Int

  /// - Parameters:
  ///   - range: which events, whole first draws.
  ///   - gradients: `G'` of each of them, `[events, outputs]`.
  init(
    _ problem: RoutedProblem, _ pairs: PairDistribution, _ events: ForwardEvents, _ range: Range<Int>,
    gradients: [Double]
  ) throws(Unavailable) {
    let directions = try problem.computableMixture().directions
    let e = directions.columns
    self.init(problem, pairs, events, range) { slots, i in
      let first = (slots[slots.startIndex].event - range.lowerBound) * e
      return gradients.withUnsafeBufferPointer { gradients in
        directions.elements.withUnsafeBufferPointer { rows in
          guard let gradients = gradients.baseAddress, let rows = rows.baseAddress else { return 0 }
          return Double.dot(gradients + first, rows + i * e, scale: nil, count: e)
        }
      }
    }
  }

  /// - Parameters:
  ///   - range: which events, whole first draws.
  ///   - slope: `G'·r_i` where some slots take part, given those and i.
  init(
    _ problem: RoutedProblem, _ pairs: PairDistribution, _ events: ForwardEvents, _ range: Range<Int>,
    slope: (_ slots: ArraySlice<ForwardEvents.Slot>, _ expert: Int) -> Double
  ) {
    let (n, p) = (problem.experts, pairs.first.probabilities)
    start = range.lowerBound
    moments = WeightedMoments(weight: 0, mean: [Double](repeating: 0, count: n), variance: 0)
    first.reserveCapacity(range.count)
    second.reserveCapacity(range.count)
    var list: [PairMoments.Event] = []
    for part in events.byFirstSlot(range) {
      let i = events.slots[events.events[part.lowerBound].slots.lowerBound].expert
      draws.append((i, part.lowerBound - start..<part.upperBound - start))
      guard let follow = pairs.second[i] else { preconditionFailure("expected a second draw after \(i)") }
      list.removeAll(keepingCapacity: true)
      var weight = 0.0
      for event in events.events[part] {
        let slots = events.slots[event.slots]
        let j = slots[slots.startIndex + 1].expert
        let (s, t) = (p[i] * slope(slots, i), follow.probabilities[j] * slope(slots, j))
        first.append(s)
        second.append(t)
        list.append((j, event.probability, s, t))
        weight += event.probability
      }
      // Where it is 0, nothing is drawn.
      guard weight > 0 else { continue }
      let given = PairMoments(after: i, of: pairs.first, then: follow, list)
      moments.add(WeightedMoments(weight: weight, mean: given.mean, variance: given.variance.reduce(0, +)))
    }
  }

  /// Adds every event's path through the router, `Wᵀ ĝ`, to rows, `[events, inputs]`.
  ///
  /// - Parameter scores: `Wᵀ (I_i − π)`, `[experts, inputs]`.
  func addPaths(
    to rows: UnsafeMutablePointer<Double>, _ events: ForwardEvents, _ pairs: PairDistribution, scores: [Double],
    router: Tensor<Double>
  ) {
    let d = router.columns
    for draw in draws {
      guard let follow = pairs.second[draw.first] else { continue }
      let later = TokenChunk.scores(follow, through: router)
      scores.withUnsafeBufferPointer { scores in
        later.withUnsafeBufferPointer { later in
          guard let scores = scores.baseAddress, let later = later.baseAddress else { return }
          for k in draw.places {
            let j = events.slots[events.events[start + k].slots.lowerBound + 1].expert
            Double.addScaled(scores + draw.first * d, factor: first[k], scale: nil, to: rows + k * d, count: d)
            Double.addScaled(later + j * d, factor: second[k], scale: nil, to: rows + k * d, count: d)
          }
        }
      }
    }
  }
}
