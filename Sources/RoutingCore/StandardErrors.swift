/// The standard errors of sampled moments: estimates of the standard deviations that their errors have.
package struct StandardErrors: Sendable, Equatable {
  /// Of the mean, `[experts]`.
  package var mean: [Double]
  /// Of the variance, `[experts]`.
  package var variance: [Double]
  /// Of the covariance, if it was asked for.
  package var covariance: Matrix?
}

extension MomentAccumulator {
  /// The standard errors of mean and unbiased sample covariance.
  ///
  /// With n samples and μ_{pq} the moments about the mean of two coordinates,
  /// ```
  /// Var mean  = μ₂/n,
  /// Var s_kl  = (μ₂₂ − μ₁₁² (n − 2)/(n − 1) + μ₂₀μ₀₂/(n − 1))/n,   so   Var s_kk = (μ₄ − μ₂² (n − 3)/(n − 1))/n,
  /// ```
  /// with sample moments in the place of true ones.
  ///
  /// *Edge cases*: heavy tails are seen only once they have been sampled; before that, errors are too small.
  ///
  /// - Precondition: at least two samples.
  package func standardErrors() -> StandardErrors {
    precondition(count >= 2, "a variance needs two samples, got \(count)")
    let (n, samples) = (pivot.count, Double(count))
    func root(_ square: Double) -> Double { square.isNaN ? .nan : max(square, 0).squareRoot() }
    let central = (0..<n).map(centralMoments)
    let variance = central.map {
      root(($0.fourth - $0.second * $0.second * (samples - 3) / (samples - 1)) / samples)
    }
    var errors = StandardErrors(
      mean: central.map { root($0.second / (samples - 1)) * scale }, variance: variance.map { $0 * scale * scale })
    guard let products else { return errors }
    var matrix = Matrix(rows: n, columns: n)
    for k in 0..<n {
      matrix[k, k] = errors.variance[k]
      for l in (k + 1)..<max(n, k + 1) {
        let (a, b) = (powers[k] / samples, powers[l] / samples)
        let plain = products.plain[k * n + l] / samples
        let mixed = (products.mixed[k * n + l] / samples, products.mixed[l * n + k] / samples)
        let (aa, bb) = (powers[n + k] / samples, powers[n + l] / samples)
        // E (x − a)²(y − b)², written out in moments about the pivot.
        let fourth =
          products.squared[k * n + l] / samples - 2 * (b * mixed.0 + a * mixed.1) + 4 * a * b * plain
          + b * b * aa + a * a * bb - 3 * a * a * b * b
        let second = plain - a * b
        let rest = (central[k].second * central[l].second - second * second * (samples - 2)) / (samples - 1)
        let error = root((fourth + rest) / samples)
        matrix[k, l] = error * scale * scale
        matrix[l, k] = matrix[k, l]
      }
    }
    errors.covariance = matrix
    return errors
  }
}
