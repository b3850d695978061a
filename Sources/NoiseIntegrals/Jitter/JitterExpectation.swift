import GSLNumerics
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// What Switch's jitter does to the router's gradient: selection probabilities, expected loss, its gradient,
/// and mean and variance of the conventional sample that training uses in its place.
///
/// Goals, in this order: an error with every number; the gradient of the loss that Switch really has,
/// boundary of the argmax included; any number of experts without sampling, where the loss is smooth.
///
/// **The gradient.** `x_i = θ_i u_i`, `D = argmax x`, `L(θ) = E[H_D(x)]` with `H_i = G(softmax(x)_i f_i)`.
/// Fix everything but `u_k`. As a function of `x_k` the loss is `H_j`, j the best of the others, below
/// `M = max_{l≠k} x_l`, and `H_k` above. Differentiating `∫ du p(u) H(θ_k u)` by `θ_k` gives the derivative
/// within either part, and the jump `H_k − H_j` times the rate at which its place `u = M/θ_k` moves, which
/// for either sign of `θ_k` is `p_k(M) M/θ_k` with `p_k` the density of `x_k`:
/// ```
/// ∂L/∂θ_k = E[u_k ∂_k H_D]
///   + Σ_{j≠k} ∫ dt p_k(t) p_j(t) (t/θ_k) E[ Π_{l≠j,k} 1{x_l < t} (G(m f_k) − G(m f_j)) ],
/// ```
/// `x_k = x_j = t` in the last factor, where both have the same multiplier m. The first part is the mean of
/// the conventional sample, so the second is its bias, sign reversed. The boundary terms times θ sum to
/// zero. A zero logit has no boundary: none of the other densities reaches 0 (`r < 1`).
///
/// **The integrals.** Given that i wins with the value t the others are independent and uniform below t, and
/// everything depends on them through `S = 1/m = 1 + Σ_{l≠i} e^{x_l − t}` and one or two factors:
/// `ĝ_k = −(c_i(m)/S²) w_k u_k` for k ≠ i, `ĝ_i = (c_i(m)/S²) (Σ_l w_l) u_i`, with `c_i(m) = G'(m f_i)·f_i`.
/// A sum of exponentials in S (``RayExpansion``) turns each expectation into products of one-dimensional
/// integrals, so the cost is linear in N, and what is left is one integral over t, piecewise analytic
/// between breakpoints, by Gauss–Legendre. That takes the place of N-dimensional cubature, for N = 2 and 3
/// as well.
///
/// **Errors.** The residuals of the expansions are carried through the same products, as bounds; quadrature
/// is compared with a coarser one; a floor for rounding is added. They are relative to the largest root mean
/// square of a coordinate of ĝ (or, if larger, of the boundary term). Where the tolerance is not met -
/// losses with kinks along a ray, logits whose jitter spans thousands - the integrals are done by
/// quasi-random points instead (``JitterQuasiRandom``), if their standard error is smaller: `method` is then
/// `.monteCarlo`, and the error may be larger than asked for. It is always stated.
///
/// Rejected: characteristic functions without decaying exponentials (slow where S spans decades); powers of
/// S (ill-conditioned).
///
/// *Source*: derived for this library.
package enum JitterExpectation {
  /// About how many exponentials quasi-random integration may spend.
  package static let standardEvaluations = 3e7
  /// The exponentials that points may spend: no more than they need where a tolerance is within their reach.
  private static func evaluations(for tolerance: Double) -> Double {
    min(standardEvaluations, max(0.01 * standardEvaluations, 10 / (tolerance * tolerance)))
  }

  /// An evaluation of the products that takes more exponentials than this is not begun, nor one that takes a tenth of it
  /// if the expansion is coarse; there are at most four of them, and quasi-random points after that.
  package static let largestEvaluations = 5e9
  /// The same where jitter spans much more than the few units in which experts compete.
  package static let largestWideEvaluations = 5e8
  /// Where jitter spans more than this, points do not find the few units in which experts compete.
  static let largestSampledSlope = 1e4

  /// `P(argmax_i θ_i u_i = k)`, `[experts]`; ties have probability 0 but for `r =
  /// 0` and zeros, where the lowest index wins.
  ///
  /// *Numerics*: exact but for rounding, 1e-14 absolutely. Finite logits of any size and any mixture of
  /// signs.
  ///
  /// - Precondition: at least one logit, 0 ≤ r < 1.
  /// - Complexity: O(N³) for N experts within reach of the maximum.
  package static func selectionProbabilities(logits: [Double], r: Double) -> [Double] {
    precondition(!logits.isEmpty, "a race needs at least one expert")
    precondition(r >= 0 && r < 1, "a jitter is in [0, 1), got \(r)")
    return JitteredLogits(logits: logits, support: Array(logits.indices), jitter: r).selectionProbabilities()
  }

  /// Mean and covariance of the conventional sample, with errors.
  ///
  /// - Parameters:
  ///   - estimator: `switch`.
  ///   - problem: a mixture whose loss is a function; with a mask the race is among the experts that it
  ///     keeps.
  ///   - covariance: whether the full covariance is wanted.
  ///   - options: the tolerance allowed, see ``JitterExpectation``; with jitter on the router's input errors are standard
  ///     errors, and `samples` decides.
  ///   - continuing: told now and then how many nodes (or points) there were; false calls the integrals off.
  /// - Throws: ``IntegrationError/unavailable(_:)`` on a categorical or tabulated problem, and for `kind=input` where
  ///   the problem does not hold the router; ``IntegrationError/interrupted``.
  /// - Complexity: O(T N (X + 1) K), with the covariance O(T N² K) more; T nodes in t (20 for each expert
  ///   within reach), X in `x_l` (20), K = 25…100 exponentials.
  ///
  /// *Edge cases*: with one expert everything is zero. A result that Float64 cannot hold is returned not
  /// finite, with infinite errors.
  package static func moments(
    of estimator: Switch, on problem: RoutedProblem, covariance: Bool = false,
    options: IntegrationOptions = IntegrationOptions(), continuing: (_ evaluations: Int) -> Bool = { _ in true }
  ) throws(IntegrationError) -> EstimatedMoments {
    try solution(of: estimator, on: problem, covariance: covariance, options: options, continuing: continuing).estimate
  }

  /// The gradient of Switch's own expected loss, boundary term included: the target of `switch`.
  ///
  /// - Throws: ``IntegrationError/unavailable(_:)`` as for the moments, and where the loss has no gradient:
  ///   without jitter (or among zero logits, which none of it moves) at a tie of the largest.
  package static func targetGradient(
    of estimator: Switch, on problem: RoutedProblem, options: IntegrationOptions = IntegrationOptions()
  ) throws(IntegrationError) -> EstimatedGradient {
    guard let target = try solution(of: estimator, on: problem, covariance: false, options: options).target else {
      throw .unavailable(Unavailable("has no gradient where the largest logits are equal whatever the jitter"))
    }
    return target
  }

  /// `L(θ) = E[G(softmax(θ∘u)_D f_D)]`.
  ///
  /// - Returns: the value and its error; `evaluations` is not counted (0).
  /// - Throws: as for the moments.
  package static func expectedLoss(
    of estimator: Switch, on problem: RoutedProblem, options: IntegrationOptions = IntegrationOptions()
  ) throws(IntegrationError) -> NumericalResult {
    let solution = try solution(of: estimator, on: problem, covariance: false, options: options)
    return NumericalResult(value: solution.value, error: solution.valueError, evaluations: 0)
  }
}

// MARK: - Choosing a method

extension JitterExpectation {
  static func solution(
    of estimator: Switch, on problem: RoutedProblem, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool = { _ in true }
  ) throws(IntegrationError) -> JitterSolution {
    if estimator.kind == .input {
      return try InputJitterIntegral(estimator, problem).solution(
        points: options.samples, covariance: covariance, threads: options.threads, continuing: continuing)
    }
    let mixture: (problem: MixtureProblem, loss: any Objective, directions: Matrix)
    do { mixture = try problem.computableMixture() } catch { throw .unavailable(error) }
    let (_, loss, directions) = mixture
    let race = JitteredLogits(
      logits: problem.problem.logits, support: problem.distribution.support, jitter: estimator.jitter)
    guard race.experts > 1 else {
      return JitterSolution(
        race: race, value: loss.value(at: Array(directions.row(race.support[0]))), covariance: covariance)
    }
    var isInterrupted = false
    func goesOn(_ evaluations: Int) -> Bool {
      isInterrupted = isInterrupted || !continuing(evaluations)
      return !isInterrupted
    }
    let lost = lost(race, loss: loss, directions: directions)
    do {
      let products = try quadrature(
        race, loss: loss, directions: directions, tolerance: options.tolerance, covariance: covariance,
        threads: options.threads, continuing: goesOn)
      if var products, lost.mean > 0 || lost.second > 0 {
        // Points lose as much.
        products.meanError += lost.mean
        products.secondError += lost.second
        guard products.relativeError <= options.tolerance || !products.means.allSatisfy(\.isFinite) else {
          throw IntegrationError.tolerance(
            ToleranceNotReached(
              quantity: estimator.specification, requested: options.tolerance, reached: products.relativeError))
        }
        return products
      }
      if let products, products.relativeError <= options.tolerance || !products.means.allSatisfy(\.isFinite) {
        return products
      }
      // Points that never fall where experts lie near each other have seen nothing, whatever their spread.
      if race.certain == nil, race.slope > largestSampledSlope {
        guard let products else { throw GSLError(calledOff: "the integrals of jitter") }
        return products
      }
      var sampled = try JitterQuasiRandom(race: race, loss: loss, directions: directions).solution(
        evaluations: evaluations(for: options.tolerance), covariance: covariance, threads: options.threads,
        continuing: goesOn)
      sampled.meanError += lost.mean
      sampled.secondError += lost.second
      guard let products, products.relativeError <= sampled.relativeError else { return sampled }
      return products
    } catch let error as IntegrationError {
      throw error
    } catch {
      if isInterrupted { throw .interrupted }
      throw .tolerance(
        ToleranceNotReached(quantity: estimator.specification, requested: options.tolerance, reached: .infinity))
    }
  }

  /// Bounds on what underflow of `e^{x_l − x_D}` takes from the moments of ĝ: where nobody comes near the winner.
  private static func lost(
    _ race: JitteredLogits, loss: any Objective, directions: Matrix
  ) -> (mean: Double, second: Double) {
    var result = (mean: 0.0, second: 0.0)
    let end = race.certain == nil ? race.breakpoints[0] : 0
    for i in race.reachable {
      let row = directions.row(race.support[i])
      let slope = [1, 0.75, 0.5, 0.25, 1 / Double(race.experts)].reduce(0) { largest, multiplier in
        max(largest, dot(loss.gradient(at: row.map { multiplier * $0 }), row).magnitude)
      }
      for l in race.logits.indices where l != i {
        let nearest = min(race.distance(l, level: race.level(l, at: end), at: end), 0)
        result.mean += Underflow.loss(ofLog: nearest, times: 2 * slope)
        result.second += Underflow.loss(ofLog: 2 * nearest, times: 4 * slope * slope)
      }
    }
    return result
  }

  private static func largestCost(_ residual: Double, isWide: Bool) -> Double {
    let largest = isWide ? largestWideEvaluations : largestEvaluations
    return residual < 1e-6 ? largest : largest / 10
  }

  /// The integrals by products, or nil where they would be hopeless.
  private static func quadrature(
    _ race: JitteredLogits, loss: any Objective, directions: Matrix, tolerance: Double, covariance: Bool,
    threads: Int, continuing: (_ evaluations: Int) -> Bool
  ) throws(GSLError) -> JitterSolution? {
    var best: RayExpansion?
    for level in RayExpansion.levels.indices {
      let next = try RayExpansion(level: level, race: race, loss: loss, directions: directions)
      guard next.isFinite else { return overflow(race, covariance: covariance) }
      if let last = best, !(next.largestResidual < last.largestResidual) { continue }
      best = next
      if next.largestResidual <= 0.03 * tolerance || next.largestResidual < 0x1p-44 { break }
    }
    guard let expansion = best, expansion.largestResidual < 1e-2 else { return nil }
    let origin = loss.value(at: [Double](repeating: 0, count: directions.columns))
    let integral = JitterIntegral(race: race, expansion: expansion)
    let largestCost = largestCost(expansion.largestResidual, isWide: integral.isWide)
    var resolution = JitterIntegral.Resolution(refinement: 2.0 / 3)
    guard integral.cost(resolution) <= largestCost else { return nil }
    var nodes = 0
    func evaluate(_ resolution: JitterIntegral.Resolution) throws(GSLError)
      -> (sums: JitterIntegral.Sums, residuals: JitterIntegral.Sums)
    {
      let result = integral.evaluate(
        resolution, covariance: covariance, threads: threads, evaluations: &nodes, continuing: continuing)
      guard let result else { throw GSLError(calledOff: "the integrals of jitter") }
      return result
    }
    var coarse = try evaluate(resolution).sums
    resolution.refinement = 1
    var result: JitterSolution?
    for _ in 0..<3 {
      guard integral.cost(resolution) <= largestCost else { return result }
      let (sums, residuals) = try evaluate(resolution)
      func solution(_ errors: JitterIntegral.Sums) -> JitterSolution {
        JitterSolution(
          race: race, sums: sums, errors: errors, slopeScale: expansion.slopeScale,
          valueScale: expansion.valueScale, origin: origin, method: .quadrature)
      }
      let next = solution(sums.errors(coarse: coarse, residuals: residuals))
      if let best = result, !(next.relativeError < best.relativeError) { return best }
      result = next
      // A finer rule cannot improve on the residuals.
      let floor = solution(residuals).relativeError
      if next.relativeError <= tolerance || floor > 0.3 * next.relativeError { return next }
      coarse = sums
      resolution.length /= 2
      resolution.refinement *= 1.4
    }
    return result
  }

  private static func overflow(_ race: JitteredLogits, covariance: Bool) -> JitterSolution {
    var sums = JitterIntegral.Sums(experts: race.experts, covariance: covariance)
    sums.means = race.logits.map { _ in .infinity }
    (sums.seconds, sums.boundary) = (sums.means, sums.means)
    sums.value = .infinity
    return JitterSolution(race: race, sums: sums, errors: sums, origin: 0, method: .quadrature)
  }
}
