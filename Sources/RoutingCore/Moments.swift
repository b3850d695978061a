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
  public func scoreMoments(weights a: [Double], spread v: [Double]? = nil) -> Moments {
    var moments = Moments(
      mean: [Double](repeating: 0, count: experts), variance: [Double](repeating: 0, count: experts))
    rg_score_moments(
      1, experts, argmax, probabilities, complements, a, v ?? [Double](repeating: 0, count: experts),
      &moments.mean, &moments.variance, &moments.totalVariance)
    return moments
  }
}
