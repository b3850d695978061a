extension OutcomeDistribution {
  /// The exact mean and variance of the estimator, and its covariance if asked for.
  ///
  /// Samples that are multiples of the score `I_D − π` need O(outcomes); the rest O(outcomes · experts), and a covariance
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
    if !covariance, let (weights, spread) = conditionalScores() {
      return distribution.scoreMoments(weights: weights, spread: spread)
    }
    return Self.moments(
      probabilities: outcomes.map(\.probability), experts: experts, covariance: covariance
    ) { gradient(of: outcomes[$0]) }
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
    for i in weights.indices where share[i] > 0 { weights[i] /= share[i] }
    var spread = [Double](repeating: 0, count: experts)
    for outcome in outcomes {
      guard case .score(let weight) = outcome.gradient, share[outcome.choice[0]] > 0 else { continue }
      let deviation = weight - weights[outcome.choice[0]]
      spread[outcome.choice[0]] += outcome.probability / share[outcome.choice[0]] * deviation * deviation
    }
    return (weights, spread)
  }

  private func pairMoments(covariance: Bool) -> Moments {
    let p = distribution.probabilities
    let width = distribution.support.count
    let pair = Self.moments(
      probabilities: outcomes.map(\.probability), experts: experts, covariance: covariance
    ) { gradient(of: outcomes[$0]) }
    guard samples > 2 else { return pair }
    let first = Self.moments(
      probabilities: distribution.support.map { p[$0] }, experts: experts, covariance: covariance
    ) { place in
      var sums = [CompensatedSum](repeating: CompensatedSum(), count: experts)
      for (j, expert) in distribution.support.enumerated() {
        for (k, value) in gradient(of: outcomes[place * width + j]).enumerated() { sums[k] += p[expert] * value }
      }
      return sums.map(\.value)
    }
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

  /// Moments of a vector that takes the value `vector(o)` with probability `probabilities[o]`.
  private static func moments(
    probabilities: [Double], experts: Int, covariance: Bool, vector: (Int) -> [Double]
  ) -> Moments {
    var sums = [CompensatedSum](repeating: CompensatedSum(), count: experts)
    for (o, probability) in probabilities.enumerated() where probability > 0 {
      for (k, value) in vector(o).enumerated() { sums[k] += probability * value }
    }
    let mean = sums.map(\.value)
    var variance = [Double](repeating: 0, count: experts)
    var matrix = covariance ? Matrix(rows: experts, columns: experts) : nil
    for (o, probability) in probabilities.enumerated() where probability > 0 {
      let deviation = zip(vector(o), mean).map { $0 - $1 }
      for k in 0..<experts {
        let weighted = probability * deviation[k]
        variance[k] += weighted * deviation[k]
        if matrix != nil { for l in 0..<experts { matrix?[k, l] += weighted * deviation[l] } }
      }
    }
    return Moments(mean: mean, variance: variance, covariance: matrix)
  }
}
