import GSLNumerics
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Mean and variance of soft Gumbel-softmax, by the best method that the objective allows; the error always
/// stated, and the method named.
///
/// | objective | experts | mean | variance, covariance |
/// |---|---|---|---|
/// | linear | any | integrals | integrals |
/// | quadratic, categorical | any | integrals | integrals |
/// | quadratic, mixture | any | integrals | as below |
/// | any other | 2 | adaptive quadrature (GSL) | likewise |
/// | any other | 3, 4 | Sobol points, random shifts | likewise |
/// | any other | more | seeded samples | likewise |
///
/// "Integrals" are those of ``SoftGumbelIntegral``, which meet the tolerance or are refused. Linear and
/// quadratic are `Linear`, `Quadratic`, `Polynomial` to degree 2 and `SeparablePower` with exponent 2. Where
/// only the mean is exact `method` is that of the variance, the larger error. Quasi-random results say
/// `.monteCarlo`, their errors being standard errors; they have no number of samples, because their noise is
/// not `tr Cov/n`.
///
/// Rejected: VEGAS for N ≤ 4, whose grid gains nothing on these smooth integrands and whose error is no more
/// certain than that of random shifts.
package enum SoftGumbelExpectation {
  /// The gradients of the objective that adaptive quadrature may take; what does not converge within them is refused.
  package static let largestEvaluations = 2_000_000

  /// Moments with their errors.
  ///
  /// - Parameters:
  ///   - estimator: `gumbel-softmax`.
  ///   - problem: a problem whose objective or loss is a function.
  ///   - covariance: whether the full covariance is wanted.
  ///   - options: the tolerance holds for integrals and adaptive quadrature: of the mean relative to the largest
  ///     coordinate of `E|integrand|`, of the variance relative to the largest second moment; `samples` are the random or
  ///     quasi-random points that sampling may use.
  ///   - continuing: told now and then how many evaluations (or samples) there were; false ends the work: samples are those
  ///     drawn, an integral is off.
  /// - Throws: ``IntegrationError/unavailable(_:)`` with a tabulated objective,
  ///   ``IntegrationError/tolerance(_:)`` where the tolerance is out of reach, ``IntegrationError/interrupted``.
  /// - Complexity: integrals: O(Q² N + Q N²), with the covariance of a quadratic O(Q N⁴); Q ≈ 200.
  ///
  /// *Edge cases*: with one expert in the support everything is zero.
  package static func moments(
    of estimator: GumbelSoftmax, on problem: RoutedProblem, covariance: Bool = false,
    options: IntegrationOptions = IntegrationOptions(), continuing: (_ evaluations: Int) -> Bool = { _ in true }
  ) throws(IntegrationError) -> EstimatedMoments {
    let form: PolynomialForm?
    let sampler: GumbelSoftmax.Sampler
    do {
      sampler = try estimator.sampler(on: problem)
      form = try PolynomialForm(problem)
    } catch {
      throw .unavailable(error)
    }
    let support = problem.distribution.support
    guard support.count > 1 else {
      let zeros = [Double](repeating: 0, count: problem.experts)
      let matrix = Matrix(rows: problem.experts, columns: problem.experts)
      return EstimatedMoments(
        moments: Moments(mean: zeros, variance: zeros, covariance: covariance ? matrix : nil),
        method: .quadrature,
        outcomes: nil, meanError: 0, varianceError: 0)
    }
    var exact: EstimatedMoments?
    if let form {
      let seconds = form.matrix == nil || form.isPlain
      let integral = SoftGumbelIntegral(
        form: form,
        logRates: problem.logProbabilities().enumerated().filter { support.contains($0.offset) }.map(
          \.element),
        temperature: estimator.temperature, wantsSeconds: seconds, wantsProducts: seconds && covariance)
      exact = try refine(
        integral, problem: problem, specification: estimator.specification, tolerance: options.tolerance,
        threads: options.threads, continuing: continuing)
      if seconds, let exact { return exact }
    }
    var sampled: EstimatedMoments
    let sampling = SoftGumbelSampling(
      sampler: sampler, problem: problem, temperature: estimator.temperature, covariance: covariance)
    var isInterrupted = false
    func goesOn(_ evaluations: Int) -> Bool {
      isInterrupted = isInterrupted || !continuing(evaluations)
      return !isInterrupted
    }
    do {
      sampled =
        switch support.count {
        case 2:
          try sampling.adaptiveQuadrature(
            tolerance: options.tolerance, limit: largestEvaluations, continuing: goesOn)
        case 3, 4:
          try sampling.quasiRandom(points: options.samples, threads: options.threads, continuing: goesOn)
        default:
          try SoftGumbelSampling.monteCarlo(
            of: estimator, on: problem, covariance: covariance, options: options, continuing: continuing)
        }
    } catch let error as Unavailable {
      throw .unavailable(error)
    } catch {
      if isInterrupted { throw .interrupted }
      throw .tolerance(
        ToleranceNotReached(
          quantity: estimator.specification, requested: options.tolerance, reached: .infinity,
          evaluations: largestEvaluations))
    }
    if let exact, exact.meanError <= sampled.meanError {
      sampled.moments.mean = exact.moments.mean
      sampled.meanError = exact.meanError
      sampled.samples = nil
    }
    return sampled
  }
}

// MARK: - Refinement

extension SoftGumbelExpectation {
  /// h to begin with, and below which only rounding is left.
  private static let firstStep = 0.25
  private static let smallestStep = 0.05
  /// The rounding error allowed for.
  private static let roundingFloor = 0x1p-45

  private static func refine(
    _ integral: SoftGumbelIntegral, problem: RoutedProblem, specification: String, tolerance: Double,
    threads: Int, continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> EstimatedMoments {
    var evaluations = 0
    func evaluate(_ step: Double) throws(IntegrationError) -> Assembled {
      guard
        let sums = integral.evaluate(step: step, threads: threads, evaluations: &evaluations, continuing: continuing)
      else { throw .interrupted }
      return assemble(integral, sums, problem)
    }
    var step = firstStep
    let lost = integral.lost
    var coarse = try evaluate(1.25 * step)
    var best = Double.infinity
    while true {
      let fine = try evaluate(step)
      let meanError = largestDifference(fine.mean, coarse.mean) + roundingFloor * fine.meanScale + lost.mean
      let varianceError =
        integral.wantsSeconds
        ? max(largestDifference(fine.variance, coarse.variance), largestDifference(fine.covariance, coarse.covariance))
          + roundingFloor * fine.squareScale + lost.second : 0
      func ratio(_ error: Double, _ scale: Double) -> Double { error == 0 ? 0 : error / scale }
      let reached = max(ratio(meanError, fine.meanScale), ratio(varianceError, fine.squareScale))
      if !(fine.mean + fine.variance).allSatisfy(\.isFinite) || reached <= tolerance {
        let isFinite = (fine.mean + fine.variance).allSatisfy(\.isFinite)
        let matrix = Matrix(rows: problem.experts, columns: problem.experts, elements: fine.covariance)
        return EstimatedMoments(
          moments: Moments(
            mean: fine.mean, variance: fine.variance, covariance: integral.wantsProducts ? matrix : nil),
          method: .quadrature, outcomes: nil, meanError: isFinite ? meanError : .infinity,
          varianceError: isFinite ? varianceError : .infinity)
      }
      let stalled = !(reached < 0.5 * best)
      best = min(best, reached.isNaN ? .infinity : reached)
      guard !stalled, step / 1.25 >= smallestStep else {
        throw .tolerance(
          ToleranceNotReached(
            quantity: specification, requested: tolerance, reached: best, evaluations: evaluations))
      }
      coarse = fine
      step /= 1.25
    }
  }

  /// Moments of all experts, and the sizes that errors are relative to.
  private struct Assembled {
    var mean: [Double]
    var variance: [Double]
    var covariance: [Double]
    var meanScale: Double
    var squareScale: Double
  }

  private static func assemble(
    _ integral: SoftGumbelIntegral, _ sums: SoftGumbelIntegral.Sums, _ problem: RoutedProblem
  ) -> Assembled {
    let support = problem.distribution.support
    let n = support.count
    let all = problem.experts
    let tau = integral.temperature
    func spread(_ values: [Double]) -> [Double] {
      var result = [Double](repeating: 0, count: all)
      for (place, expert) in support.enumerated() { result[expert] = values[place] }
      return result
    }
    // E ĝ_jĝ_k of the relaxed part, then its covariance.
    let relaxed = sums.means.map { $0 / tau }
    var matrix = Matrix(rows: n, columns: n)
    for j in 0..<n {
      matrix[j, j] = sums.seconds[j] / tau / tau - relaxed[j] * relaxed[j]
      for k in (j + 1)..<max(n, j + 1) {
        matrix[j, k] = sums.products[j * n + k] / tau / tau - relaxed[j] * relaxed[k]
        matrix[k, j] = matrix[j, k]
      }
    }
    var mean = spread(relaxed)
    var meanScale = sums.sizes.reduce(0) { max($0, $1) } / tau
    var squareScale = sums.seconds.reduce(0) { max($0, $1) } / tau / tau
    if let gating = integral.form.gating {
      // γ = J(π)[p_i (β_i + Σ_l N_il p_l)].
      var weights = zip(sums.shares, gating.linear).map { $0 * $1 }
      if let bends = gating.matrix {
        for i in 0..<n { for l in 0..<n { weights[i] += bends[i, l] * sums.pairs[i * n + l] } }
      }
      let share = problem.distribution.jacobianProduct(spread(weights))
      mean = zip(mean, share).map { $0 + $1 }
      // |J(π) v|_k ≤ 2 π_k (1 − π_k) max |v|.
      let steepest = support.reduce(0) {
        max($0, problem.distribution.probabilities[$1] * problem.distribution.complements[$1])
      }
      meanScale = max(meanScale, 2 * steepest * weights.reduce(0) { max($0, $1.magnitude) })
      func image(_ column: [Double]) -> [Double] {
        let image = problem.distribution.jacobianProduct(spread(zip(column, gating.linear).map { $0 * $1 }))
        return support.map { image[$0] }
      }
      // Cov(p) and Cov(ĝ, p), through the gating sample's Jacobian Γ = J(π) diag β.
      func covariance(_ values: [Double], _ left: [Double], _ j: Int) -> [Double] {
        (0..<n).map { values[j * n + $0] - left[j] * sums.shares[$0] }
      }
      let cross = (0..<n).map { j in image(covariance(sums.cross.map { $0 / tau }, relaxed, j)) }
      let half = (0..<n).map { j in image(covariance(sums.pairs, sums.shares, j)) }  // Cov(p) Γᵀ by rows
      for k in 0..<n {
        let column = image(half.map { $0[k] })
        for j in 0..<n { matrix[j, k] += column[j] + cross[j][k] + cross[k][j] }
      }
      squareScale = max(squareScale, meanScale * meanScale)
    }
    var covariance = [Double](repeating: 0, count: all * all)
    for j in 0..<n { for k in 0..<n { covariance[support[j] * all + support[k]] = matrix[j, k] } }
    let variance = spread((0..<n).map { max(matrix[$0, $0], 0) })
    for j in 0..<n { covariance[support[j] * (all + 1)] = variance[support[j]] }
    return Assembled(
      mean: mean, variance: variance, covariance: covariance, meanScale: meanScale, squareScale: squareScale)
  }
}
