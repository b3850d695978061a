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
    let (n, e, p) = (problem.experts, directions.columns, pairs.first.probabilities)
    start = range.lowerBound
    moments = WeightedMoments(weight: 0, mean: [Double](repeating: 0, count: n), variance: 0)
    first.reserveCapacity(range.count)
    second.reserveCapacity(range.count)
    directions.elements.withUnsafeBufferPointer { buffer in
      gradients.withUnsafeBufferPointer { gradients in
        guard let rows = buffer.baseAddress, let gradients = gradients.baseAddress else { return }
        for part in events.byFirstSlot(range) {
          let i = events.slots[events.events[part.lowerBound].slots.lowerBound].expert
          draws.append((i, part.lowerBound - start..<part.upperBound - start))
          let follow = pairs.second[i]?.probabilities ?? [Double](repeating: 0, count: n)
          for k in part {
            let j = events.slots[events.events[k].slots.lowerBound + 1].expert
            let gradient = gradients + (k - start) * e
            first.append(p[i] * Double.dot(gradient, rows + i * e, scale: nil, count: e))
            second.append(follow[j] * Double.dot(gradient, rows + j * e, scale: nil, count: e))
          }
        }
      }
    }
    for draw in draws {
      guard let follow = pairs.second[draw.first] else { continue }
      let weight = draw.places.reduce(0) { $0 + events.events[start + $1].probability }
      // Where it is 0, nothing is drawn.
      guard weight > 0 else { continue }
      let given = PairMoments(
        after: draw.first, of: pairs.first, then: follow,
        draw.places.lazy.map { [first, second, start] k in
          let event = events.events[start + k]
          return (events.slots[event.slots.lowerBound + 1].expert, event.probability, first[k], second[k])
        })
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
