import GSLNumerics
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Everything about Switch on one problem: what ``JitterExpectation`` hands out in parts. Indices run over
/// the support.
struct JitterSolution: Sendable {
  /// Who races.
  let support: [Int]
  let allExperts: Int
  /// `E ĝ`, `E ĝ²`, the boundary term, `E ĝ_kĝ_l` (k < l, row-major; empty if not wanted).
  var means: [Double]
  var seconds: [Double]
  var boundary: [Double]
  var products: [Double]
  /// The expected loss.
  var value: Double
  /// Errors of a coordinate, the largest.
  var meanError: Double
  var secondError: Double
  var boundaryError: Double
  var valueError: Double
  var method: MomentMethod
  /// Whether the loss has a gradient: it has none where the largest logits are equal whatever the jitter.
  var isDifferentiable: Bool

  /// Reads scaled sums and the errors of each.
  init(
    race: JitteredLogits, sums: JitterIntegral.Sums, errors: JitterIntegral.Sums, slopeScale: Double = 1,
    valueScale: Double = 1, origin: Double, method: MomentMethod
  ) {
    func largest(_ numbers: [Double]) -> Double { numbers.reduce(0) { $1 <= $0 ? $0 : $1 } }  // NaN stays
    support = race.support
    allExperts = race.allExperts
    means = sums.means.map { $0 * slopeScale }
    seconds = sums.seconds.map { $0 * slopeScale * slopeScale }
    products = sums.products.map { $0 * slopeScale * slopeScale }
    boundary = sums.boundary.map { $0 * valueScale }
    value = origin + sums.value * valueScale
    meanError = largest(errors.means) * slopeScale
    secondError = largest(errors.seconds + errors.products) * slopeScale * slopeScale
    boundaryError = largest(errors.boundary) * valueScale
    valueError = errors.value * valueScale
    self.method = method
    isDifferentiable = !race.hasCertainTie
  }

  /// No gradient: one expert, whose multiplier is 1.
  init(race: JitteredLogits, value: Double, covariance: Bool) {
    support = race.support
    allExperts = race.allExperts
    means = race.logits.map { _ in 0 }
    (seconds, boundary) = (means, means)
    products = [Double](repeating: 0, count: covariance ? race.experts * race.experts : 0)
    self.value = value
    (meanError, secondError, boundaryError, valueError) = (0, 0, 0, 0)
    method = .quadrature
    isDifferentiable = true
  }

  /// The largest error relative to the sizes that errors are judged by: the largest root mean square of a
  /// coordinate of ĝ, and the largest coordinate of the boundary term where that is larger.
  var relativeError: Double {
    let square = seconds.reduce(0) { max($0, $1) }
    let size = square.squareRoot()
    let jump = boundary.reduce(size) { max($0, $1.magnitude) }
    func ratio(_ error: Double, _ scale: Double) -> Double { error == 0 ? 0 : error / scale }
    let ratios = [ratio(meanError, size), ratio(secondError, square), ratio(boundaryError, jump)]
    return ratios.reduce(0) { $1 <= $0 ? $0 : $1 }
  }

  /// Mean and covariance, `Cov ĝ = E ĝĝᵀ − E ĝ E ĝᵀ`.
  var estimate: EstimatedMoments {
    let n = support.count
    func scattered(_ values: [Double]) -> [Double] {
      var result = [Double](repeating: 0, count: allExperts)
      for (place, expert) in support.enumerated() { result[expert] = values[place] }
      return result
    }
    let variance = (0..<n).map { max(seconds[$0] - means[$0] * means[$0], 0) }
    var matrix: Matrix?
    if !products.isEmpty {
      var covariance = Matrix(rows: allExperts, columns: allExperts)
      for k in 0..<n {
        covariance[support[k], support[k]] = variance[k]
        for l in (k + 1)..<max(n, k + 1) {
          let value = products[k * n + l] - means[k] * means[l]
          covariance[support[k], support[l]] = value
          covariance[support[l], support[k]] = value
        }
      }
      matrix = covariance
    }
    let mean = means.reduce(0) { max($0, $1.magnitude) }
    return EstimatedMoments(
      moments: Moments(mean: scattered(means), variance: scattered(variance), covariance: matrix),
      method: method, outcomes: nil, meanError: meanError, varianceError: secondError + 2 * mean * meanError)
  }

  /// The gradient of the expected loss, its gating and routing terms together; nil where there is none.
  var target: EstimatedGradient? { gradient(zip(means, boundary).map { $0 + $1 }, error: meanError + boundaryError) }

  /// What reaches the logits through the multiplier: the mean of the conventional sample.
  var gatingTerm: EstimatedGradient? { gradient(means, error: meanError) }

  /// What reaches them through the choice: the boundary term.
  var routingTerm: EstimatedGradient? { gradient(boundary, error: boundaryError) }

  private func gradient(_ values: [Double], error: Double) -> EstimatedGradient? {
    guard isDifferentiable else { return nil }
    var gradient = [Double](repeating: 0, count: allExperts)
    for (place, expert) in support.enumerated() { gradient[expert] = values[place] }
    return EstimatedGradient(gradient: gradient, error: error, method: method)
  }
}

/// A gradient that was computed numerically.
package struct EstimatedGradient: Sendable, Equatable {
  /// `[experts]`.
  package var gradient: [Double]
  /// The largest error of a coordinate: a bound for quadrature, a standard error for Monte Carlo and
  /// quasi-random points.
  package var error: Double
  /// How it was obtained.
  package var method: MomentMethod

  /// States a result.
  package init(gradient: [Double], error: Double, method: MomentMethod) {
    self.gradient = gradient
    self.error = error
    self.method = method
  }
}
