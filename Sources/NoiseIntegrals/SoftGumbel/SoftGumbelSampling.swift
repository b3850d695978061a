import CStandardLibrary
import GSLNumerics
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Moments of soft Gumbel-softmax for any objective: what is left where the integrals do not apply.
struct SoftGumbelSampling: Sendable {
  let sampler: GumbelSoftmax.Sampler
  let problem: RoutedProblem
  let temperature: Double
  let covariance: Bool

  private var support: [Int] { problem.distribution.support }

  // MARK: Two experts

  /// Two experts: one integral over the difference L of two Gumbels, which is logistic, by GSL's adaptive
  /// quadrature.
  ///
  /// `ĝ = (g, −g)`. The sample lives where `|θ₁ − θ₂ + L|` is some τ, the density where |L| is some units;
  /// the integral is cut at the corners of both, and where neither leaves 1e-19. Where τ is lost in rounding beside
  /// `θ₁ − θ₂` the variable is their sum.
  ///
  /// *Numerics*: samples are divided by a power of two near the largest, and what is integrated by one near its own largest, so
  /// that neither their squares nor GSL's error estimates, which square those again, leave Float64.
  ///
  /// - Parameters:
  ///   - tolerance: see ``SoftGumbelExpectation``.
  ///   - limit: the evaluations of the objective's gradient allowed.
  ///   - continuing: told now and then how many there were; false calls the integral off.
  /// - Throws: `GSLError` where the tolerance is out of reach within those evaluations.
  func adaptiveQuadrature(
    tolerance: Double, limit: Int, continuing: (_ evaluations: Int) -> Bool
  ) throws(GSLError) -> EstimatedMoments {
    let (i, j) = (support[0], support[1])
    let largest = Double.greatestFiniteMagnitude
    let gap = max(min(problem.problem.logits[i] - problem.problem.logits[j], largest), -largest)
    // The variable is L, or θ₁ − θ₂ + L.
    let isSum = temperature < 0x1p-30 * gap.magnitude
    let shift = isSum ? gap : 0
    func unscaled(_ x: Double) -> Double {
      var perturbed = [Double](repeating: 0, count: problem.experts)
      perturbed[i] = isSum ? x : gap + x
      return sampler.gradient(perturbed: perturbed)[i]
    }
    func density(_ x: Double) -> Double {
      let decay = exp(-(x - shift).magnitude)
      return decay / ((1 + decay) * (1 + decay))
    }
    let reach = min(gap.magnitude, 700) + 46
    let range = shift - reach...shift + reach
    let centre = max(min(shift - gap, range.upperBound), range.lowerBound)
    let corners =
      [range.lowerBound, range.upperBound, shift, shift - 8, shift + 8, centre]
      + [-40, -8, -2, 2, 8, 40].map { centre + $0 * temperature }
    let cuts = corners.filter { range.contains($0) }.sorted()
    let scale = scale(of: unscaled, at: cuts)
    func sample(_ x: Double) -> Double { unscaled(x) / scale }
    var evaluations = 0
    func integrate(_ f: (Double) -> Double, absolute: Double, relative: Double) throws(GSLError)
      -> NumericalResult
    {
      let unit = self.scale(of: { density($0) * f($0) }, at: cuts)
      var result = NumericalResult(value: 0, error: 0, evaluations: 0)
      for (a, b) in zip(cuts, cuts.dropFirst()) where b > a {
        let before = evaluations
        let part = try Integration.integrate(
          { density($0) * f($0) / unit }, over: a...b, method: .cquad,
          absoluteTolerance: absolute > 0 ? max(absolute / unit, .leastNormalMagnitude) : 0,
          relativeTolerance: relative, limit: 4000, evaluations: limit - before,
          continuing: { continuing(before + $0) })
        result.value += part.value
        result.error += part.error
        evaluations += part.evaluations
        guard continuing(evaluations) else { throw GSLError(calledOff: "adaptive quadrature") }
      }
      result.value *= unit
      result.error *= unit
      return result
    }
    let size = try integrate({ sample($0).magnitude }, absolute: 0, relative: 0.01).value
    let square = try integrate({ sample($0) * sample($0) }, absolute: 0, relative: 0.01).value
    let share = 0.1 * tolerance / Double(cuts.count)
    let mean = try integrate(sample, absolute: share * size, relative: 1e-14)
    let second = try integrate(
      { sample($0) * sample($0) }, absolute: share * square, relative: 1e-14)
    let variance = max(second.value - mean.value * mean.value, 0) * scale * scale
    var means = [Double](repeating: 0, count: problem.experts)
    var variances = means
    (means[i], means[j]) = (mean.value * scale, -mean.value * scale)
    (variances[i], variances[j]) = (variance, variance)
    var matrix: Matrix?
    if covariance {
      var full = Matrix(rows: problem.experts, columns: problem.experts)
      (full[i, i], full[j, j], full[i, j], full[j, i]) = (variance, variance, -variance, -variance)
      matrix = full
    }
    let floor = 0x1p-46
    // The density's own underflow, and that of the other expert's share, times the largest slope.
    let extreme = [-20.0, -3, 0, 3, 20].reduce(0) { largest, distance in
      let decay = exp(-distance.magnitude)
      let sample = unscaled(isSum ? distance * temperature : distance * temperature - gap)
      return max(largest, sample.magnitude / decay * (1 + decay) * (1 + decay))
    }
    let rare = min(1, 1 / temperature) * -gap.magnitude + log1p(gap.magnitude) + 1
    let lost = (
      mean: Underflow.loss(ofLog: rare, times: extreme), second: Underflow.loss(ofLog: rare, times: extreme * extreme)
    )
    guard lost.mean <= tolerance * size * scale, lost.second <= tolerance * square * scale * scale else {
      throw GSLError(calledOff: "adaptive quadrature")
    }
    return EstimatedMoments(
      moments: Moments(mean: means, variance: variances, covariance: matrix), method: .quadrature,
      outcomes: nil, meanError: (mean.error + floor * size) * scale + lost.mean,
      varianceError: (second.error + 2 * mean.value.magnitude * mean.error + floor * square) * scale * scale
        + lost.second)
  }

  /// A power of two near the largest sample: at the cuts, and at points between them.
  private func scale(of sample: (Double) -> Double, at cuts: [Double]) -> Double {
    var largest = 0.0
    for (a, b) in zip(cuts, cuts.dropFirst()) {
      for share in [0, 0.25, 0.5, 0.75, 1] { largest = max(largest, sample(a + share * (b - a)).magnitude) }
    }
    return largest > 0 && largest.isFinite ? max(largest.binade, 0x1p-1020) : 1
  }

  // MARK: Several

  /// Sobol points under random shifts, one coordinate for each expert's noise.
  ///
  /// - Parameters:
  ///   - count: about how many points in all.
  ///   - continuing: see ``QuasiRandomIntegral``.
  func quasiRandom(
    points count: Int, threads: Int, continuing: (_ points: Int) -> Bool
  ) throws(GSLError) -> EstimatedMoments {
    let n = support.count
    let integral = QuasiRandomIntegral(
      dimension: n, points: QuasiRandomIntegral.points(budget: Double(count), cost: 1))
    let (means, errors) = try integral.means(count: n + n * n, threads: threads, continuing: continuing) {
      point, sums in
      var perturbed = [Double](repeating: 0, count: problem.experts)
      for (place, k) in support.enumerated() {
        perturbed[k] = problem.problem.logits[k] - log(-log(point[place]))
      }
      let sample = sampler.gradient(perturbed: perturbed)
      for (j, expert) in support.enumerated() {
        sums[j] += sample[expert]
        for (k, other) in support.enumerated() { sums[n + j * n + k] += sample[expert] * sample[other] }
      }
    }
    var mean = [Double](repeating: 0, count: problem.experts)
    var variance = mean
    var matrix = Matrix(rows: problem.experts, columns: problem.experts)
    var meanError = 0.0
    var varianceError = 0.0
    for (j, expert) in support.enumerated() {
      mean[expert] = means[j]
      meanError = max(meanError, errors[j])
      for (k, other) in support.enumerated() {
        matrix[expert, other] = means[n + j * n + k] - means[j] * means[k]
        guard covariance || j == k else { continue }
        varianceError = max(
          varianceError,
          errors[n + j * n + k] + means[j].magnitude * errors[k] + means[k].magnitude * errors[j])
      }
      variance[expert] = max(matrix[expert, expert], 0)
    }
    return EstimatedMoments(
      moments: Moments(mean: mean, variance: variance, covariance: covariance ? matrix : nil),
      method: .monteCarlo, outcomes: nil, meanError: meanError, varianceError: varianceError)
  }

  /// Seeded samples (``MonteCarlo``).
  static func monteCarlo(
    of estimator: GumbelSoftmax, on problem: RoutedProblem, covariance: Bool, options: IntegrationOptions,
    continuing: (_ samples: Int) -> Bool
  ) throws(Unavailable) -> EstimatedMoments {
    try MonteCarlo.moments(
      of: estimator, on: problem,
      sampling: .init(samples: max(options.samples, 2), seed: options.seed, threads: options.threads),
      covariance: covariance, continuing: continuing
    ).estimate
  }
}
