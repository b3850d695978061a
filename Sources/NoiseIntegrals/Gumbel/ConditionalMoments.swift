import RoutingCore

/// Moments of straight-through Gumbel-softmax given each choice, and what follows for the estimator.
struct ConditionalMoments: Sendable {
  /// π over the support.
  let rates: [Double]
  /// `E[ĝ|i]` with the gating sample, `[n][n]`, row i.
  let means: Matrix
  /// `Σ_i π_i Var(ĝ_j|i)`, and the covariances where wanted: the part within the choices, over K.
  let within: [Double]
  let withinCovariance: Matrix?
  /// `max_j Σ_i π_i |E[ĝ_j|i]|`.
  let meanScale: Double
  /// K.
  let samples: Int

  /// Puts together what was integrated.
  init(race: GumbelRace, means sums: [Double], seconds: [Double], products: [Double]?) {
    let n = race.experts
    let factor = race.scale / race.temperature
    // 0 · ∞ would make NaN of a zero.
    func scaled(_ x: Double) -> Double { x == 0 ? 0 : x * factor }
    var within = seconds
    var matrix = products.map { Matrix(rows: n, columns: n, elements: $0) }
    for i in 0..<n {
      for j in 0..<n {
        let weighted = race.rates[i] * sums[i * n + j]
        within[j] -= weighted * sums[i * n + j]
        guard matrix != nil else { continue }
        for k in (j + 1)..<max(n, j + 1) { matrix?[j, k] -= weighted * sums[i * n + k] }
      }
    }
    for j in 0..<n {
      within[j] = scaled(scaled(max(within[j], 0)))
      guard let upper = matrix else { continue }
      matrix?[j, j] = within[j]
      for k in (j + 1)..<max(n, j + 1) {
        matrix?[j, k] = scaled(scaled(upper[j, k]))
        matrix?[k, j] = scaled(scaled(upper[j, k]))
      }
    }
    var means = race.gating
    var scale = [Double](repeating: 0, count: n)
    for i in 0..<n {
      for j in 0..<n {
        means[i, j] += scaled(sums[i * n + j])
        scale[j] += race.rates[i] * means[i, j].magnitude
      }
    }
    self.rates = race.rates
    self.means = means
    self.within = within
    self.withinCovariance = matrix
    self.meanScale = scale.reduce(0) { max($0, $1) }
    self.samples = 1
  }

  private init(_ other: ConditionalMoments, samples: Int) {
    rates = other.rates
    means = other.means
    within = other.within
    withinCovariance = other.withinCovariance
    meanScale = other.meanScale
    self.samples = samples
  }

  /// The mean of K draws given the choice.
  func averaged(over samples: Int) -> ConditionalMoments { ConditionalMoments(self, samples: samples) }

  /// `E ĝ = Σ_i π_i E[ĝ|i]` and `Cov ĝ = Cov_D(E[ĝ|D]) + (1/K) E_D[Cov(ĝ|D)]`.
  ///
  /// *Numerics*: deviations from the mean are squared; sums over the choices are compensated.
  var moments: Moments {
    let n = rates.count
    let draws = Double(samples)
    let mean = (0..<n).map { j in
      var sum = CompensatedSum()
      for i in 0..<n { sum += rates[i] * means[i, j] }
      return sum.value
    }
    var variance = within.map { $0 / draws }
    for i in 0..<n {
      for j in 0..<n {
        let deviation = means[i, j] - mean[j]
        variance[j] += rates[i] * deviation * deviation
      }
    }
    guard var matrix = withinCovariance else { return Moments(mean: mean, variance: variance) }
    for e in matrix.elements.indices { matrix.elements[e] /= draws }
    for i in 0..<n {
      for j in 0..<n {
        let weighted = rates[i] * (means[i, j] - mean[j])
        for k in j..<n { matrix[j, k] += weighted * (means[i, k] - mean[k]) }
      }
    }
    for j in 0..<n {
      matrix[j, j] = variance[j]
      for k in j..<n { matrix[k, j] = matrix[j, k] }
    }
    return Moments(mean: mean, variance: variance, covariance: matrix)
  }

  /// What relative errors of the integrals make of the variance, divided by them: with `q_j = E ĝ_j²` of one draw and `b_j` the
  /// variance between the choices, `max_j (q_j/K + b_j + 2 √(b_j q_j))`.
  private func secondScale(_ moments: Moments) -> Double {
    var largest = 0.0
    for j in rates.indices {
      let between = max(moments.variance[j] - within[j] / Double(samples), 0)
      var square = within[j]
      for i in rates.indices { square += rates[i] * means[i, j] * means[i, j] }
      let mixed = 2 * between.squareRoot() * square.squareRoot()
      largest = max(largest, square / Double(samples) + between + mixed)
    }
    return largest
  }

  /// What a comparison with a coarser rule says of the error.
  struct Comparison {
    /// Bounds on the largest errors of a coordinate of the mean, and of the variance or covariance.
    var meanError: Double
    var varianceError: Double
    /// The larger of the two relative to the scales of ``GumbelIntegral``; NaN if a number is not.
    var relativeError: Double
  }

  /// Compares with the same moments by a coarser rule.
  func compared(with coarse: ConditionalMoments, beyond omissions: GumbelRace.Omissions) -> Comparison {
    let own = moments
    let other = coarse.moments
    let secondScale = secondScale(own)
    let meanError = largestDifference(own.mean, other.mean) + omissions.meanShare * meanScale + omissions.mean
    var varianceError = largestDifference(own.variance, other.variance)
    if let a = own.covariance, let b = other.covariance {
      varianceError = max(varianceError, largestDifference(a.elements, b.elements))
    }
    varianceError += omissions.secondShare * secondScale + omissions.second
    func ratio(_ error: Double, _ scale: Double) -> Double { error == 0 ? 0 : error / scale }
    let relative = (ratio(meanError, meanScale), ratio(varianceError, own.variance.reduce(0) { max($0, $1) }))
    return Comparison(
      meanError: meanError, varianceError: varianceError,
      relativeError: relative.0 + relative.1 > 0 ? max(relative.0, relative.1) : relative.0 + relative.1)
  }
}
