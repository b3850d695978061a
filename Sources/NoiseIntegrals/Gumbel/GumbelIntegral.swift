import CStandardLibrary
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Exact mean, variance and covariance of straight-through Gumbel-softmax and Gumbel-Rao, for any number of experts.
///
/// Goals, in this order: never silently wrong (an error bound that holds, or a refusal); 1e-10 for N = 2…128, τ = 0.05…10
/// and logits to ±50; fast enough to replace sampling.
///
/// **Three one-dimensional integrals** for every N. With `λ = π`, `a = 1/τ` and `E_k ~ Exp(λ_k)`: `θ_k + Γ_k = −log E_k`, `D = argmin E`,
/// `p_k = E_k^{−a}/Σ E^{−a}`. Given `D = i` and `m = E_i` (then m ~ Exp(1), independent of D) the others are `m + V_l/λ_l`,
/// `V_l ~ Exp(1)`. With `w_l = (1 + V_l/(λ_l m))^{−a}`, `w_i = 1`, `S = Σ w` and u the gradient at `I_i`, centred so that
/// `u_i = 0`,
/// ```
/// ĝ_j = (1/τ) w_j (Σ_k w_k (u_j − u_k)) / S².
/// ```
/// `1/S² = ∫ s e^{−sS} ds` and `1/S⁴ = ∫ (s³/6) e^{−sS} ds` make everything a product over l. With `φ_l = E[e^{−s w_l}]`,
/// `r_l = E[w_l e^{−s w_l}]/φ_l`, `c_l` the variance belonging to it and `r²_l = c_l + (r_l)²` (for i: `r = 1`, `c = 0`),
/// ```
/// E[ĝ_j | i]  = (1/τ)  ∫dm e^{−m} ∫ds s e^{−s}       Π_{l≠i} φ_l · r_j (u_j A − B),
/// E[ĝ_j² | i] = (1/τ²) ∫dm e^{−m} ∫ds (s³/6) e^{−s}  Π_{l≠i} φ_l · r²_j [T₀u_j² − 2T₁u_j + T₂ + (u_j A − B)²],
/// A = Σ r_l,  B = Σ r_l u_l,  T_q = Σ c_l u_l^q,
/// ```
/// and for j ≠ k, with `δ = u_j − u_k`, the integrand of `E[ĝ_j ĝ_k | i]` is
/// ```
/// r_j r_k [T₀u_ju_k − T₁(u_j + u_k) + T₂ + (A u_j − B)(A u_k − B)]
///   − δ c_j r_k (A u_j − B) + δ c_k r_j (A u_k − B) − δ² c_j c_k,
/// ```
/// in which the terms in `u_ju_k` are `(A r_j + c_j)(A r_k + c_k) + T₀r_jr_k + c_jc_k`, and all others products of a function of
/// (i, j) and one of k: these are summed over i first, so only three inner products are needed for each (i, j, k).
///
/// The gating sample of a mixture is a function of D: it is added to the conditional means. K draws divide the part of the
/// covariance within each choice by K.
///
/// **Quadrature.** `m = e^x`, `V = e^z`, and the trapezoid rule with one step h: the integrands are analytic and decay, so the
/// error falls like `e^{−c/h}`. In s, where they are sums of `e^{−sS}`, `1 ≤ S ≤ N`, the integrals are replaced by the
/// few terms of an ``ExponentialSum``. Rejected: the trapezoid rule in log s, with three times the nodes; Gauss–Laguerre,
/// which the powers of m and V stall; N-dimensional cubature, which ends at N = 4. z reaches down to the smallest rate, and u is
/// centred at the expert drawn; without either, logits ±30 come out wrong by their own size.
///
/// **Errors.** Results at h are compared with results at a larger step, at least 1.25 h, whose error the difference is; that
/// bounds the error at h with room to spare. The steps are refined until the bound meets the tolerance. To the difference are
/// added the errors of the exponential sums, what the ranges leave out, and a floor for rounding. Bounds are relative to
/// - mean: `max_j Σ_i π_i |E[ĝ_j|i]|`, at least the largest coordinate, and above it only where the choices cancel;
/// - variance and covariance: the largest variance. It is a difference of larger numbers where the estimator hardly varies
///   (large τ, linear f): then fewer digits are left, and a tolerance that was too hopeful is refused.
///
/// FUTURE WORK: variances for τ ≫ 100 without that cancellation.
///
/// *Source*: derived for this library; Paulus et al. (arXiv 2010.04838) for the conditional distribution.
package enum GumbelIntegral {
  /// Exact moments with bounds on their errors.
  ///
  /// - Parameters:
  ///   - estimator: `gumbel-softmax-st` or `gumbel-rao`.
  ///   - problem: a categorical problem, or a mixture whose loss is a function.
  ///   - tolerance: the relative error allowed, see ``GumbelIntegral``. Float64 reaches about 1e-13.
  ///   - covariance: whether the full covariance is wanted.
  ///   - threads: the number of threads; it does not change the result.
  ///   - continuing: told now and then how many nodes of m there were; false calls the integrals off.
  /// - Throws: ``IntegrationError/unavailable(_:)`` on a tabulated mixture, ``IntegrationError/tolerance(_:)`` where the
  ///   tolerance is out of reach, ``IntegrationError/interrupted``.
  /// - Complexity: O(Q² S N + Q S N²), with the covariance O(Q S N³) more; Q ≈ 150 nodes, S ≈ 40 terms.
  ///
  /// *Edge cases*: with one expert in the support everything is zero. A result that Float64 cannot hold is returned as it
  /// is, not finite, with infinite errors.
  package static func moments(
    of estimator: some StraightThroughGumbel, on problem: RoutedProblem,
    tolerance: Double = IntegrationOptions.standardTolerance, covariance: Bool = false, threads: Int = 1,
    continuing: (_ evaluations: Int) -> Bool = { _ in true }
  ) throws(IntegrationError) -> EstimatedMoments {
    let race: GumbelRace
    do {
      race = try GumbelRace(problem: problem, temperature: estimator.temperature)
    } catch {
      throw .unavailable(error)
    }
    guard race.experts > 1 else {
      let zeros = [Double](repeating: 0, count: problem.experts)
      return EstimatedMoments(
        moments: Moments(
          mean: zeros, variance: zeros,
          covariance: covariance ? Matrix(rows: problem.experts, columns: problem.experts) : nil),
        method: .quadrature, outcomes: nil, meanError: 0, varianceError: 0)
    }
    let powers: ExponentialSum
    do {
      powers = try ExponentialSum(upTo: race.experts)
    } catch {
      throw .tolerance(
        ToleranceNotReached(quantity: estimator.specification, requested: tolerance, reached: .infinity))
    }
    let depth = depth(for: tolerance)
    var evaluations = 0
    func evaluate(_ step: Double) throws(IntegrationError) -> ConditionalMoments {
      let moments = race.integrate(
        step: step, depth: depth, powers: powers, covariance: covariance, threads: threads, evaluations: &evaluations,
        continuing: continuing)
      guard let moments else { throw .interrupted }
      return moments.averaged(over: estimator.conditionalSamples)
    }
    var step = firstStep
    var coarse = try evaluate(step * stepRatio)
    var best = Double.infinity
    var stalls = 0
    while true {
      let fine = try evaluate(step)
      guard fine.moments.isFinite else {
        return EstimatedMoments(
          moments: race.scattered(fine.moments), method: .quadrature, outcomes: nil, meanError: .infinity,
          varianceError: .infinity)
      }
      let comparison = fine.compared(with: coarse, beyond: race.omissions(depth: depth, powers: powers))
      let reached = comparison.relativeError
      if reached <= tolerance {
        return EstimatedMoments(
          moments: race.scattered(fine.moments), method: .quadrature, outcomes: nil,
          meanError: comparison.meanError, varianceError: comparison.varianceError)
      }
      // Twice no better: what is left is rounding, or what the ranges leave out.
      stalls = reached < 0.5 * best ? 0 : stalls + 1
      best = min(best, reached.isNaN ? .infinity : reached)
      let next = nextStep(after: step, reached: reached, tolerance: tolerance)
      guard stalls < 2, next >= smallestStep else {
        throw .tolerance(
          ToleranceNotReached(
            quantity: estimator.specification, requested: tolerance, reached: best, evaluations: evaluations))
      }
      (coarse, step) = (fine, next)
    }
  }

  /// Ranges leave out e^{−depth}, a millionth of the tolerance: the variance may be a small
  /// difference.
  private static func depth(for tolerance: Double) -> Double {
    tolerance > 0 ? min(max(14 - log(tolerance), 30), 40) : 40
  }

  /// h to begin with; meets 1e-10 in nearly all cases.
  static let firstStep = 0.25
  /// What h is compared with.
  static let stepRatio = 1.25
  /// Below this h the error is rounding.
  static let smallestStep = 0.06

  /// The step whose predecessor should have an error a tenth of the tolerance, if errors fall like `e^{−c/h}`.
  private static func nextStep(after step: Double, reached: Double, tolerance: Double) -> Double {
    guard reached > 0, reached < 0.1, tolerance > 0 else { return step / stepRatio }
    // The error measured is that of the step before, stepRatio times as long.
    let needed = -log(reached) * step * stepRatio / log(10 / tolerance)
    return max(min(step, needed) / stepRatio, step / 2)
  }
}
