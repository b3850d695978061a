internal import CGSL

/// `Φ⁻¹(p)`, the quantile of the standard normal distribution.
///
/// - Precondition: 0 < p < 1.
///
/// *Source*: GSL manual, "Random Number Distributions", `gsl_cdf_ugaussian_Pinv`.
package func standardNormalQuantile(_ p: Double) -> Double {
  precondition(p > 0 && p < 1, "a quantile belongs to a probability between 0 and 1, got \(p)")
  GSLRuntime.prepare()
  // From the nearer end, where p itself is exact.
  return p < 0.5 ? gsl_cdf_ugaussian_Pinv(p) : gsl_cdf_ugaussian_Qinv(1 - p)
}

/// Clopper and Pearson's limits of a probability after k successes in n trials: each is missed with a probability of at
/// most `(1 − confidence)/2`, whatever the probability.
///
/// Quantiles of beta distributions: `B⁻¹(γ; k, n − k + 1)` and `B⁻¹(1 − γ; k + 1, n − k)`, by bisection: GSL's own inverse
/// (`gsl_cdf_beta_Pinv`, 2.7) does not converge for some k of a few hundred in 10⁵, and says so with a NaN.
///
/// *Edge cases*: the lower limit of no success is 0, the upper limit of nothing but successes is 1.
///
/// - Precondition: `0 ≤ successes ≤ trials`, `trials ≥ 1`, confidence between 0 and 1.
///
/// *Source*: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934), 404–413; `gsl_cdf_beta_P`.
package func binomialLimits(successes k: Int, of trials: Int, confidence: Double = 0.95) -> ClosedRange<Double> {
  precondition(trials >= 1 && (0...trials).contains(k), "\(k) successes in \(trials) trials")
  precondition(confidence > 0 && confidence < 1, "a confidence lies between 0 and 1, got \(confidence)")
  GSLRuntime.prepare()
  let tail = (1 - confidence) / 2
  /// The p at which `isBelow` turns false.
  func turn(_ isBelow: (Double) -> Bool) -> Double {
    var (low, high) = (0.0, 1.0)
    while true {
      let middle = low + (high - low) / 2
      guard middle > low, middle < high else { return middle }
      if isBelow(middle) { low = middle } else { high = middle }
    }
  }
  let (successes, failures) = (Double(k), Double(trials - k))
  let lower = k == 0 ? 0 : turn { gsl_cdf_beta_P($0, successes, failures + 1) < tail }
  let upper = k == trials ? 1 : turn { gsl_cdf_beta_Q($0, successes + 1, failures) > tail }
  return lower...max(lower, upper)
}

/// `t⁻¹(p; ν)`, the quantile of Student's distribution with ν degrees of freedom.
///
/// - Precondition: 0 < p < 1, ν > 0.
///
/// *Source*: GSL manual, "Random Number Distributions", `gsl_cdf_tdist_Pinv`.
package func studentQuantile(_ p: Double, degrees: Double) -> Double {
  precondition(p > 0 && p < 1 && degrees > 0, "a quantile belongs to 0 < p < 1 and ν > 0, got \(p) and \(degrees)")
  GSLRuntime.prepare()
  return p < 0.5 ? gsl_cdf_tdist_Pinv(p, degrees) : gsl_cdf_tdist_Qinv(1 - p, degrees)
}

/// `P(|T| ≥ |t|)`, T distributed as Student's with ν degrees of freedom: the p-value of a two-sided t-test.
///
/// - Precondition: ν > 0.
///
/// *Source*: GSL manual, "Random Number Distributions", `gsl_cdf_tdist_Q`.
package func studentTwoSidedTail(_ t: Double, degrees: Double) -> Double {
  precondition(degrees > 0, "a distribution of Student's has ν > 0, got \(degrees)")
  GSLRuntime.prepare()
  return 2 * gsl_cdf_tdist_Q(t.magnitude, degrees)
}
