import CKernels

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
  package var isFinite: Bool {
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
  /// var_k  = π_k [ q_k² v_k + π_k Σ_{j≠k} π_j v_j + q_k (q_k a_k + π_k A_k)² + π_k W_k ],
  /// A_k    = (ā − π_k a_k)/q_k = Σ_{j≠k} π_j a_j / q_k              (the mean of a given D ≠ k),
  /// W_k    = Σ_j π_j b_j² − π_k b_k²/q_k = Σ_{j≠k} π_j (a_j − A_k)²   (q_k times the variance of a given D ≠ k).
  /// ```
  ///
  /// *Numerics*: every term is non-negative; b is centred at the argmax (see ``jacobianProduct(_:)``), and sums "over the
  /// others" leave the argmax out instead of subtracting it (the second forms of A and W), so that `π → 1` keeps its
  /// digits. Computed by a vectorised kernel (`CKernels/score_moments.c`).
  ///
  /// - Parameters:
  ///   - weights: a, `[experts]`.
  ///   - spread: v, `[experts]`, or nil if s is a function of D.
  /// - Complexity: O(experts).
  package func scoreMoments(weights a: [Double], spread v: [Double]? = nil) -> Moments {
    if roots != nil { return distantScoreMoments(weights: a, spread: v) }
    var moments = Moments(
      mean: [Double](repeating: 0, count: experts), variance: [Double](repeating: 0, count: experts))
    rg_score_moments(
      1, experts, argmax, probabilities, complements, a, v ?? [Double](repeating: 0, count: experts),
      &moments.mean, &moments.variance, &moments.totalVariance)
    return moments
  }
}

extension RoutingDistribution {
  /// The same where probabilities are so small that their products are not formed before what they are multiplied by:
  /// `var_k = π_k q_k² v_k + π_k² Σ_{j≠k} π_j v_j + Σ_j (√π_j (g_jk − mean_k))²` with `g_jk = a_j (δ_jk − π_k)`.
  ///
  /// - Complexity: O(experts²).
  private func distantScoreMoments(weights a: [Double], spread v: [Double]?) -> Moments {
    let mean = jacobianProduct(a)
    var variance = [Double](repeating: 0, count: experts)
    for k in support {
      var sum = CompensatedSum()
      for j in support {
        let sample = j == k ? complementShare(k, of: a[k]) : -share(k, of: a[j])
        let deviation = (root(j) ?? probabilities[j].squareRoot()) * (sample - mean[k])
        sum += deviation * deviation
      }
      if let v {
        sum += share(k, of: complementShare(k, of: complementShare(k, of: v[k])))
        for j in support where j != k { sum += share(k, of: share(k, of: share(j, of: v[j]))) }
      }
      variance[k] = sum.value
    }
    return Moments(mean: mean, variance: variance)
  }
}
