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
  /// The first draws, each with its events.
  private(set) var draws: [(first: Int, events: Range<Int>)] = []

  /// - Parameter gradients: `G'` of each event, `[events, outputs]`.
  init(
    _ problem: RoutedProblem, _ pairs: PairDistribution, _ events: ForwardEvents, gradients: ArraySlice<Double>
  ) throws(Unavailable) {
    let directions = try problem.computableMixture().directions
    let (n, e, p) = (problem.experts, directions.columns, pairs.first.probabilities)
    moments = WeightedMoments(weight: 0, mean: [Double](repeating: 0, count: n), variance: 0)
    first.reserveCapacity(events.count)
    second.reserveCapacity(events.count)
    directions.elements.withUnsafeBufferPointer { buffer in
      gradients.withUnsafeBufferPointer { gradients in
        guard let rows = buffer.baseAddress, let gradients = gradients.baseAddress else { return }
        for (k, event) in events.events.enumerated() {
          let (i, j) = (events.slots[event.slots.lowerBound].expert, events.slots[event.slots.lowerBound + 1].expert)
          first.append(p[i] * Double.dot(gradients + k * e, rows + i * e, scale: nil, count: e))
          second.append(
            (pairs.second[i]?.probabilities[j] ?? 0) * Double.dot(gradients + k * e, rows + j * e, scale: nil, count: e)
          )
          if draws.last?.first == i {
            draws[draws.count - 1].events = draws[draws.count - 1].events.lowerBound..<k + 1
          } else {
            draws.append((i, k..<k + 1))
          }
        }
      }
    }
    for draw in draws {
      guard let follow = pairs.second[draw.first] else { continue }
      moments.add(moments(after: draw.first, draw.events, events, pairs.first, follow))
    }
  }

  /// The moments given the first draw i. With `A = I_i − π` and `Y = t (I_j − π')` the variance is
  /// `Var(s) ‖A‖² + 2 Σ w (s − s̄) t A·(I_j − π') + tr Cov Y`.
  private func moments(
    after i: Int, _ range: Range<Int>, _ events: ForwardEvents, _ distribution: RoutingDistribution,
    _ follow: RoutingDistribution
  ) -> WeightedMoments {
    let (p, n) = (distribution.probabilities, distribution.experts)
    var share = [Double](repeating: 0, count: n)
    var means = share
    var spreads = share
    func follower(_ k: Int) -> Int { events.slots[events.events[k].slots.lowerBound + 1].expert }
    // Probabilities relative to the first draw's: where that is 0, nothing is drawn.
    var total = 0.0
    for k in range { total += events.events[k].probability }
    guard total > 0 else {
      return WeightedMoments(weight: 0, mean: [Double](repeating: 0, count: n), variance: 0)
    }
    var mean = 0.0
    for k in range {
      let w = events.events[k].probability / total
      mean += w * first[k]
      share[follower(k)] += w
      means[follower(k)] += w * second[k]
    }
    for j in follow.support where share[j] > 0 { means[j] /= share[j] }
    var (variance, cross) = (0.0, 0.0)
    var drift = 0.0
    for k in follow.support { drift -= follow.probabilities[k] * p[k] }
    for k in range {
      let (w, j) = (events.events[k].probability / total, follower(k))
      let deviation = first[k] - mean
      variance += w * deviation * deviation
      cross += w * deviation * second[k] * (-p[j] - drift)
      let own = second[k] - means[j]
      if share[j] > 0 { spreads[j] += w / share[j] * own * own }
    }
    let later = follow.scoreMoments(weights: means, spread: spreads)
    var square = distribution.complements[i] * distribution.complements[i]
    var gradient = later.mean
    for k in distribution.support where k != i {
      square += p[k] * p[k]
      gradient[k] -= mean * p[k]
    }
    gradient[i] += mean * distribution.complements[i]
    return WeightedMoments(
      weight: total, mean: gradient, variance: max(0, variance * square + 2 * cross + later.totalVariance))
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
          for k in draw.events {
            let j = events.slots[events.events[k].slots.lowerBound + 1].expert
            Double.addScaled(scores + draw.first * d, factor: first[k], scale: nil, to: rows + k * d, count: d)
            Double.addScaled(later + j * d, factor: second[k], scale: nil, to: rows + k * d, count: d)
          }
        }
      }
    }
  }
}
