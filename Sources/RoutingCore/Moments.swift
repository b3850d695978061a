/// Mean and covariance of a gradient estimator.
public struct Moments: Sendable, Equatable {
  /// `E ĝ`, `[experts]`.
  public var mean: [Double]
  /// The diagonal of `Cov ĝ`, `[experts]`.
  public var variance: [Double]
  /// `tr Cov ĝ`.
  public var totalVariance: Double
  /// `Cov ĝ`, if it was asked for.
  public var covariance: Matrix?

  /// Collects moments; the total variance is the sum of `variance`.
  public init(mean: [Double], variance: [Double], covariance: Matrix? = nil) {
    self.mean = mean
    self.variance = variance
    self.totalVariance = variance.reduce(0, +)
    self.covariance = covariance
  }

  /// Whether every number is finite: false if the result overflows Float64.
  public var isFinite: Bool {
    totalVariance.isFinite && mean.allSatisfy(\.isFinite)
      && (covariance?.elements.allSatisfy(\.isFinite) ?? true)
  }
}

// MARK: - Samples that are multiples of the score

extension RoutingDistribution {
  /// The moments of `s · (I_D − π)`, D ~ π, from the conditional mean a and variance v of the scalar s given D.
  ///
  /// With `ā = Σ π_j a_j`, `b = a − ā`, `q = 1 − π`, and the law of total variance applied to {D = k} against {D ≠ k},
  /// ```
  /// mean_k = π_k b_k
  /// var_k  = π_k [ q_k² v_k + π_k Σ_{j≠k} π_j v_j + q_k (ā + b_k (q_k − π_k)/q_k)² + π_k W_k ],
  /// W_k    = Σ_j π_j b_j² − π_k b_k²/q_k        (q_k times the variance of a given D ≠ k).
  /// ```
  ///
  /// *Numerics*: every term is non-negative; b is centred at the argmax (see ``jacobianProduct(_:)``), and sums "over the
  /// others" leave the argmax out instead of subtracting it, so that `π → 1` keeps its digits.
  ///
  /// - Parameters:
  ///   - weights: a, `[experts]`.
  ///   - spread: v, `[experts]`, or nil if s is a function of D.
  /// - Complexity: O(experts).
  public func scoreMoments(weights a: [Double], spread v: [Double]? = nil) -> Moments {
    var moments = Moments(
      mean: [Double](repeating: 0, count: experts), variance: [Double](repeating: 0, count: experts))
    moments.totalVariance = scoreMoments(
      weights: a, spread: v, mean: &moments.mean, variance: &moments.variance)
    return moments
  }

  /// ``scoreMoments(weights:spread:)`` into arrays that exist; returns the total variance.
  func scoreMoments(
    weights a: [Double], spread v: [Double]?, mean: inout [Double], variance: inout [Double]
  ) -> Double {
    let p = probabilities
    let q = complements
    let m = argmax
    var shift = CompensatedSum()
    for j in support where j != m { shift += p[j] * (a[j] - a[m]) }
    let centre = a[m] + shift.value
    var squares = 0.0  // Σ_{j≠m} π_j b_j²
    var spreads = 0.0  // Σ_{j≠m} π_j v_j
    for j in support {
      let b = (a[j] - a[m]) - shift.value
      mean[j] = p[j] * b
      if j != m {
        squares += p[j] * b * b
        if let v { spreads += p[j] * v[j] }
      }
    }
    let bm = -shift.value
    var total = 0.0
    for k in support where q[k] > 0 {
      let b = (a[k] - a[m]) - shift.value
      let within =
        k == m
        ? squares - p[m] * p[m] * bm * bm / q[m]
        : squares + p[m] * bm * bm - p[k] * b * b / q[k]
      let difference = centre + b * (q[k] - p[k]) / q[k]
      var sum = q[k] * difference * difference + p[k] * max(within, 0)
      if let v {
        let others = k == m ? spreads : max(spreads + p[m] * v[m] - p[k] * v[k], 0)
        sum += q[k] * q[k] * v[k] + p[k] * others
      }
      variance[k] = p[k] * sum
      total += variance[k]
    }
    return total
  }
}
