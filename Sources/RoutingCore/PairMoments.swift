/// The moments of `ĝ = s (I_i − π) + t (I_j − π')` given the first draw i, j ~ π' and any joint law of s and t given j.
///
/// With `A = I_i − π`, `B_j = I_j − π'`, `a_j = E[t | j]`, `x = s − E s` and `c = J(π') [E[x t | j]]_j`,
/// ```
/// E ĝ   = E s · A + J(π') a,
/// Cov ĝ = Var(s) A Aᵀ + A cᵀ + c Aᵀ + Cov(t B_j),
/// Var ĝ_k = π'_k q'_k [(s_k − s_L) A_k + a_k q'_k + t_L π'_k]² + q'_k Var(s A_k − t π'_k | j ≠ k) + π'_k Var(s A_k + t q'_k | j = k),
/// ```
/// `q' = 1 − π'`, s_k the mean of s given j = k, s_L and t_L those of s and t given j ≠ k.
///
/// *Numerics*: of the variances nothing is subtracted; what is known given `j ≠ k` is put together from the experts before k
/// and those after it (Chan, Golub and LeVeque, The American Statistician 37 (1983)). Where probabilities are too small to be
/// multiplied by as they are, and where squares overflow that these do not bring back, events are gone through one by one.
///
/// - Complexity: O(events + experts), one by one O(events · experts).
package struct PairMoments: Sendable {
  /// `E[ĝ | i]`, `[experts]`.
  package private(set) var mean: [Double]
  /// The diagonal of `Cov[ĝ | i]`, `[experts]`.
  package private(set) var variance: [Double]
  /// `E s`, and `J(π') a`.
  let level: Double
  let later: [Double]
  /// What the covariance takes: `Var(s)`, c, and mean and variance of t given j, `[experts]`.
  let levelVariance: Double
  let crossing: [Double]
  let means: [Double]
  let spreads: [Double]

  /// An event: j, its weight, s and t. Weights count relative to those of the same j.
  package typealias Event = (second: Int, weight: Double, s: Double, t: Double)

  /// The moments given that i was drawn.
  package init(
    after i: Int, of first: RoutingDistribution, then second: RoutingDistribution, _ events: some Collection<Event>
  ) {
    let n = first.experts
    let groups = Self.groups(events, experts: n)
    var (total, drift) = (CompensatedSum(), CompensatedSum())
    for j in second.support { total += second.share(j, of: groups[j].s) }
    level = total.value
    means = groups.map(\.t)
    spreads = groups.map(\.tt)
    later = second.jacobianProduct(means)
    for j in second.support {
      let deviation = groups[j].s - level
      drift += second.share(j, of: groups[j].ss + deviation * deviation)
    }
    levelVariance = drift.value
    crossing = second.jacobianProduct(groups.map { $0.st + ($0.s - total.value) * $0.t })
    mean = later
    for k in first.support { mean[k] += Self.score(first, i, k) * level }
    variance = []
    if first.roots == nil, second.roots == nil {
      variance = Self.variances(groups, i, first, second, levelVariance: levelVariance)
      if variance.allSatisfy(\.isFinite) { return }
    }
    variance = Self.variances(events, mean: mean, i, first, second)
  }

  /// `(I_i − π)_k`.
  private static func score(_ distribution: RoutingDistribution, _ i: Int, _ k: Int) -> Double {
    k == i ? distribution.complements[k] : -distribution.probabilities[k]
  }

  /// Weight, means, and sums (of one group: means) of the products of deviations of s and t.
  private struct Group {
    var weight = 0.0
    var (s, t) = (0.0, 0.0)
    var (ss, st, tt) = (0.0, 0.0, 0.0)

    /// The sums of this group and another that has no events in common with it.
    func joined(with other: Group) -> Group {
      let total = weight + other.weight
      guard total > 0 else { return self }
      let (share, one, two) = (other.weight / total, other.s - s, other.t - t)
      let factor = weight * share
      return Group(
        weight: total, s: s + share * one, t: t + share * two, ss: ss + other.ss + factor * one * one,
        st: st + other.st + factor * one * two, tt: tt + other.tt + factor * two * two)
    }

    /// `xx ss + 2 xy st + yy tt` as a sum of two squares, the larger of ss and tt taken first.
    func square(_ x: Double, _ y: Double) -> Double {
      if ss >= tt {
        guard ss > 0 else { return 0 }
        let (slope, along) = (st / ss, x + st / ss * y)
        return ss * along * along + max(tt - slope * st, 0) * y * y
      }
      let (slope, along) = (st / tt, y + st / tt * x)
      return tt * along * along + max(ss - slope * st, 0) * x * x
    }
  }

  /// What is known given j, by j; zeros where no event has any weight.
  private static func groups(_ events: some Collection<Event>, experts: Int) -> [Group] {
    var groups = [Group](repeating: Group(), count: experts)
    for event in events {
      groups[event.second].weight += event.weight
      groups[event.second].s += event.weight * event.s
      groups[event.second].t += event.weight * event.t
    }
    for j in groups.indices where groups[j].weight > 0 {
      groups[j].s /= groups[j].weight
      groups[j].t /= groups[j].weight
    }
    for event in events where groups[event.second].weight > 0 {
      let j = event.second
      let (w, s, t) = (event.weight / groups[j].weight, event.s - groups[j].s, event.t - groups[j].t)
      groups[j].ss += w * s * s
      groups[j].st += w * s * t
      groups[j].tt += w * t * t
    }
    return groups
  }

  private static func variances(
    _ groups: [Group], _ i: Int, _ first: RoutingDistribution, _ second: RoutingDistribution, levelVariance: Double
  ) -> [Double] {
    var variance = [Double](repeating: 0, count: groups.count)
    // The experts that only the first draw can give.
    for k in first.support {
      let score = score(first, i, k)
      variance[k] = levelVariance * score * score
    }
    // Sums, weighed by π', of the experts after each place of the support.
    let parts = second.support.map { j in
      let (group, p) = (groups[j], second.probabilities[j])
      return Group(weight: p, s: group.s, t: group.t, ss: p * group.ss, st: p * group.st, tt: p * group.tt)
    }
    var after = [Group](repeating: Group(), count: parts.count + 1)
    for place in parts.indices.reversed() { after[place] = parts[place].joined(with: after[place + 1]) }
    var before = Group()
    for (place, k) in second.support.enumerated() {
      let (p, q, own) = (second.probabilities[k], second.complements[k], groups[k])
      let others = before.joined(with: after[place + 1])
      let score = score(first, i, k)
      let distance = (own.s - others.s) * score + (own.t * q + others.t * p)
      variance[k] = p * q * distance * distance + others.square(score, -p) + p * own.square(score, q)
      before = before.joined(with: parts[place])
    }
    return variance
  }

  /// The variances, event by event.
  private static func variances(
    _ events: some Collection<Event>, mean: [Double], _ i: Int, _ first: RoutingDistribution,
    _ second: RoutingDistribution
  ) -> [Double] {
    var weights = [Double](repeating: 0, count: mean.count)
    for event in events { weights[event.second] += event.weight }
    var variance = [Double](repeating: 0, count: mean.count)
    for event in events where weights[event.second] > 0 {
      let (j, w) = (event.second, event.weight / weights[event.second])
      for k in mean.indices {
        var sample = k == i ? first.complementShare(k, of: event.s) : -first.share(k, of: event.s)
        sample += k == j ? second.complementShare(k, of: event.t) : -second.share(k, of: event.t)
        let deviation = sample - mean[k]
        variance[k] += second.share(j, of: w * deviation) * deviation
      }
    }
    return variance
  }
}

// MARK: - Over all first draws

extension PairOutcomes {
  /// Mean and covariance of one pair's gradient, and the covariance of its mean given the first draw (ζ₂ and ζ₁ of
  /// ``OutcomeDistribution/moments(covariance:)``); nil where probabilities are too small for the formulas, or a square overflows.
  ///
  /// The variance is the mean of those given i and the variance of the means given i.
  ///
  /// - Complexity: O(outcomes); with covariance O(experts³).
  func moments(covariance: Bool) -> (pair: Moments, first: Moments)? {
    guard isPlain else { return nil }
    let (n, p) = (first.experts, first.probabilities)
    var levels = [Double](repeating: 0, count: n)
    var levelVariances = levels
    var means = Matrix(rows: n, columns: n)
    var within = [CompensatedSum](repeating: CompensatedSum(), count: n)
    var later = within
    var crossings = Matrix(rows: covariance ? n : 0, columns: n)
    var products = crossings
    forEachDraw { i, events in
      let second = follow(i)
      let given = PairMoments(
        after: i, of: first, then: second,
        events.lazy.map { event in
          let (one, two) = sides(event, after: i, second)
          return (Int(event.second), one.probability * two.probability, event.weights.first, event.weights.second)
        })
      levels[i] = given.level
      levelVariances[i] = given.levelVariance
      for k in 0..<n {
        means[i, k] = given.mean[k]
        within[k] += p[i] * given.variance[k]
        later[k] += p[i] * given.later[k]
      }
      guard covariance else { return }
      for k in 0..<n { crossings[i, k] = given.crossing[k] }
      second.addScoreProducts(weights: given.means, spread: given.spreads, times: p[i], to: &products)
    }
    var mean = first.jacobianProduct(levels)
    for k in 0..<n { mean[k] += later[k].value }
    var between = [CompensatedSum](repeating: CompensatedSum(), count: n)
    for i in first.support {
      for k in 0..<n {
        means[i, k] -= mean[k]
        between[k] += p[i] * means[i, k] * means[i, k]
      }
    }
    let one = between.map(\.value)
    let two = zip(one, within).map { $0 + $1.value }
    var found = (pair: Moments(mean: mean, variance: two), first: Moments(mean: mean, variance: one))
    if covariance {
      var sum = DeviationProducts(experts: n)
      for i in first.support { sum.add(means.row(i), probability: p[i], root: nil) }
      var firsts = sum.matrix
      // Var(s) A Aᵀ, which is that of multiples of the score with no mean, and A cᵀ + c Aᵀ.
      let none = [Double](repeating: 0, count: n)
      first.addScoreProducts(weights: none, spread: levelVariances, times: 1, to: &products)
      for l in 0..<n {
        for (k, value) in first.jacobianProduct((0..<n).map { crossings[$0, l] }).enumerated() {
          products[k, l] += value
          products[l, k] += value
        }
      }
      for e in products.elements.indices { products.elements[e] += firsts.elements[e] }
      for k in 0..<n { (products[k, k], firsts[k, k]) = (two[k], one[k]) }
      (found.pair.covariance, found.first.covariance) = (products, firsts)
    }
    return found.pair.isFinite && found.first.isFinite ? found : nil
  }
}
