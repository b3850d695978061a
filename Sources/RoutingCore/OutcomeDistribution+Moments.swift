extension OutcomeDistribution {
  /// The exact mean and variance of the estimator, and its covariance if asked for.
  ///
  /// Samples that are multiples of the score `I_D − π` need O(outcomes), a covariance O(experts²) on top, and so do pairs of
  /// such terms, whose covariance takes O(experts³); the rest needs O(outcomes · experts), and a covariance
  /// O(outcomes · experts²).
  ///
  /// For an average over the pairs of K draws, `Cov = 2/(K(K−1)) [2(K−2) ζ₁ + ζ₂]` with `ζ₂ = Cov h(i, j)` and
  /// `ζ₁ = Cov E[h(i, j) | i]`.
  ///
  /// *Numerics*: deviations from the mean are squared, never second moments subtracted.
  ///
  /// *Source*: W. Hoeffding, Ann. Math. Statist. 19 (1948), 293–325, for the pairs.
  public func moments(covariance: Bool = false) -> Moments {
    if samples >= 2 { return pairMoments(covariance: covariance) }
    if let pairs = outcomes.pairs, let found = pairs.moments(covariance: covariance) { return found.pair }
    if !covariance || distribution.roots == nil, let (weights, spread) = conditionalScores() {
      var moments = distribution.scoreMoments(weights: weights, spread: spread)
      guard covariance else { return moments }
      var matrix = Matrix(rows: experts, columns: experts)
      distribution.addScoreProducts(weights: weights, spread: spread, times: 1, to: &matrix)
      for k in 0..<experts { matrix[k, k] = moments.variance[k] }
      moments.covariance = matrix
      if moments.isFinite { return moments }
    }
    return listedMoments(covariance: covariance)
  }

  /// Mean and variance of the score's factor given the expert drawn, if every outcome is a multiple of the score.
  private func conditionalScores() -> (weights: [Double], spread: [Double])? {
    var share = [Double](repeating: 0, count: experts)
    var weights = share
    for outcome in outcomes {
      guard case .score(let weight) = outcome.gradient else { return nil }
      share[outcome.choice[0]] += outcome.probability
      weights[outcome.choice[0]] += outcome.probability * weight
    }
    if distribution.roots != nil { return distantScores() }
    for i in weights.indices where share[i] > 0 { weights[i] /= share[i] }
    var spread = [Double](repeating: 0, count: experts)
    for outcome in outcomes {
      guard case .score(let weight) = outcome.gradient, share[outcome.choice[0]] > 0 else { continue }
      let deviation = weight - weights[outcome.choice[0]]
      spread[outcome.choice[0]] += outcome.probability / share[outcome.choice[0]] * deviation * deviation
    }
    return (weights, spread)
  }

  /// The same where probabilities are too small to be divided by.
  private func distantScores() -> (weights: [Double], spread: [Double]) {
    func root(_ outcome: Outcome) -> Double { outcome.root ?? outcome.probability.squareRoot() }
    var largest = [Double](repeating: 0, count: experts)
    for outcome in outcomes { largest[outcome.choice[0]] = max(largest[outcome.choice[0]], root(outcome)) }
    var total = [Double](repeating: 0, count: experts)
    var (weights, spread) = (total, total)
    /// The outcome's probability relative to that of the likeliest with this choice.
    func share(_ outcome: Outcome) -> Double {
      let ratio = largest[outcome.choice[0]] > 0 ? root(outcome) / largest[outcome.choice[0]] : 0
      return ratio * ratio
    }
    for outcome in outcomes {
      guard case .score(let weight) = outcome.gradient else { continue }
      total[outcome.choice[0]] += share(outcome)
      weights[outcome.choice[0]] += share(outcome) * weight
    }
    for i in weights.indices where total[i] > 0 { weights[i] /= total[i] }
    for outcome in outcomes {
      let i = outcome.choice[0]
      guard case .score(let weight) = outcome.gradient, total[i] > 0 else { continue }
      let deviation = weight - weights[i]
      spread[i] += share(outcome) / total[i] * deviation * deviation
    }
    return (weights, spread)
  }

  private func pairMoments(covariance: Bool) -> Moments {
    if let found = outcomes.pairs?.moments(covariance: covariance) { return combined(found.first, found.pair) }
    let width = distribution.support.count
    let pair = listedMoments(covariance: covariance)
    guard samples > 2 else { return pair }
    let support = distribution.support
    let first = Self.moments(
      support.count, experts: experts, covariance: covariance,
      law: { (distribution.probabilities[support[$0]], distribution.root(support[$0])) },
      vector: { place, vector in
        var sums = [CompensatedSum](repeating: CompensatedSum(), count: experts)
        var sample = vector
        for (j, expert) in support.enumerated() {
          for k in sample.indices { sample[k] = 0 }
          addGradient(at: place * width + j, to: &sample)
          for (k, value) in sample.enumerated() { sums[k] += distribution.share(expert, of: value) }
        }
        for k in vector.indices { vector[k] = sums[k].value }
      })
    return combined(first, pair)
  }

  /// What the average over all pairs of draws has, from ζ₁ and ζ₂.
  private func combined(_ first: Moments, _ pair: Moments) -> Moments {
    guard samples > 2 else { return pair }
    let pairs = Double(samples) * Double(samples - 1)
    func combined(_ one: Double, _ two: Double) -> Double {
      2 / pairs * (2 * Double(samples - 2) * one + two)
    }
    var matrix: Matrix?
    if let one = first.covariance, let two = pair.covariance {
      matrix = Matrix(
        rows: experts, columns: experts, elements: zip(one.elements, two.elements).map(combined))
    }
    return Moments(
      mean: pair.mean, variance: zip(first.variance, pair.variance).map(combined), covariance: matrix)
  }

  /// The moments of the outcomes as they are listed.
  private func listedMoments(covariance: Bool) -> Moments {
    Self.moments(
      outcomes.count, experts: experts, covariance: covariance, law: outcomes.law(at:),
      vector: { place, vector in
        for k in vector.indices { vector[k] = 0 }
        addGradient(at: place, to: &vector)
      })
  }

  /// Moments of a vector that takes the value `vector(o)` with the probability `law(o)`, given by its root where there is one.
  private static func moments(
    _ count: Int, experts: Int, covariance: Bool, law: (Int) -> (probability: Double, root: Double?),
    vector: (Int, inout [Double]) -> Void
  ) -> Moments {
    var sums = [CompensatedSum](repeating: CompensatedSum(), count: experts)
    var sample = [Double](repeating: 0, count: experts)
    for o in 0..<count {
      let (p, root) = law(o)
      guard p > 0 || root ?? 0 > 0 else { continue }
      vector(o, &sample)
      for (k, value) in sample.enumerated() { sums[k] += root.map { ($0 * value) * $0 } ?? p * value }
    }
    let mean = sums.map(\.value)
    var variance = [Double](repeating: 0, count: experts)
    var products = covariance ? DeviationProducts(experts: experts) : nil
    for o in 0..<count {
      let (p, root) = law(o)
      guard p > 0 || root ?? 0 > 0 else { continue }
      vector(o, &sample)
      for k in 0..<experts {
        sample[k] -= mean[k]
        variance[k] += root.map { ($0 * sample[k]) * ($0 * sample[k]) } ?? p * sample[k] * sample[k]
      }
      products?.add(sample, probability: p, root: root)
    }
    return Moments(mean: mean, variance: variance, covariance: products?.matrix)
  }
}
