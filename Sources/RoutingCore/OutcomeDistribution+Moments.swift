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
    return Self.moments(outcomes, experts: experts, covariance: covariance) { gradient(of: outcomes[$0]) }
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
    let width = distribution.support.count
    let pair = Self.moments(outcomes, experts: experts, covariance: covariance) { gradient(of: outcomes[$0]) }
    guard samples > 2 else { return pair }
    let draws = distribution.support.map {
      Outcome(choice: [$0], probability: distribution.probabilities[$0], gradient: .dense([])).rooted(
        distribution.root($0))
    }
    let first = Self.moments(draws, experts: experts, covariance: covariance) { place in
      var sums = [CompensatedSum](repeating: CompensatedSum(), count: experts)
      for (j, expert) in distribution.support.enumerated() {
        for (k, value) in gradient(of: outcomes[place * width + j]).enumerated() {
          sums[k] += distribution.share(expert, of: value)
        }
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

  /// Moments of a vector that takes the value `vector(o)` where `outcomes[o]` happens.
  private static func moments(
    _ outcomes: [Outcome], experts: Int, covariance: Bool, vector: (Int) -> [Double]
  ) -> Moments {
    var sums = [CompensatedSum](repeating: CompensatedSum(), count: experts)
    for (o, outcome) in outcomes.enumerated() where outcome.isPossible {
      for (k, value) in vector(o).enumerated() { sums[k] += outcome.share(of: value) }
    }
    let mean = sums.map(\.value)
    var variance = [Double](repeating: 0, count: experts)
    var matrix = covariance ? Matrix(rows: experts, columns: experts) : nil
    for (o, outcome) in outcomes.enumerated() where outcome.isPossible {
      let deviation = zip(vector(o), mean).map { $0 - $1 }
      for k in 0..<experts {
        variance[k] += outcome.share(of: deviation[k], deviation[k])
        if matrix != nil { for l in 0..<experts { matrix?[k, l] += outcome.share(of: deviation[k], deviation[l]) } }
      }
    }
    return Moments(mean: mean, variance: variance, covariance: matrix)
  }
}
