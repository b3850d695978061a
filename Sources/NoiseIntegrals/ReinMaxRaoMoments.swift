import CStandardLibrary
import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension ReinMaxRao: IntegratedEstimator {
  /// Exact moments from `GumbelIntegral`, one run of it for each expert of the support.
  ///
  /// Given D = i the noise is that of a race with the rates `½(π + I_i)`, given that i wins it. On a categorical problem with those
  /// probabilities whose only gradient is `u_i`, read where i is drawn and zero elsewhere, straight-through Gumbel-softmax has, with
  /// `p = ½(1 + π_i)` the probability of i and x the sample given i,
  /// ```
  /// mean = p E x,   Cov + mean meanᵀ = p E x xᵀ,
  /// ```
  /// from which both conditional moments follow with hardly a loss, p being at least a half. Then
  /// `E[ĝ|i] = 2 E x + fixed_i`, `Cov(ĝ|i) = (4/K) Cov x`, and total expectation and variance over `D ~ π`.
  ///
  /// - Complexity: that of `GumbelIntegral` times the number of experts in the support.
  public func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    let estimate = try moments(on: problem, covariance: covariance, options: options, continuing: continuing)
    return Integrals(estimate: estimate, target: try? target.gradient(of: problem))
  }

  /// One choice's share of the moments.
  private struct Conditional {
    var mean: [Double]
    var second: [Double]
    var products: Matrix?
    var meanError: Double
    var secondError: Double
  }

  private func moments(
    on problem: RoutedProblem, covariance: Bool, options: IntegrationOptions, continuing: (Int) -> Bool
  ) throws(IntegrationError) -> EstimatedMoments {
    let (distribution, n) = (problem.distribution, problem.experts)
    let support = distribution.support
    let fixed: [[Double]]
    var slopes: [[Double]] = []
    do throws(Unavailable) {
      fixed = try Self.fixedParts(on: problem)
      for i in support {
        let gradient = try problem.choiceGradient(at: i)
        slopes.append(support.map { gradient[$0] - gradient[i] })
      }
    } catch {
      throw .unavailable(error)
    }
    let logarithms = problem.logProbabilities()
    var conditionals: [Conditional] = []
    var evaluations = 0
    for (place, i) in support.enumerated() {
      let offset = evaluations
      conditionals.append(
        try conditional(
          place, slopes: slopes[place],
          logits: support.map { $0 == i ? log1p(distribution.probabilities[i]) : logarithms[$0] },
          weight: 0.5 * (1 + distribution.probabilities[i]), covariance: covariance, options: options
        ) { count in
          evaluations = offset + count
          return continuing(evaluations)
        })
    }
    let rates = support.map { distribution.probabilities[$0] }
    let draws = Double(conditionalSamples)
    let means = support.enumerated().map { place, i in
      support.enumerated().map { 2 * conditionals[place].mean[$0] + fixed[i][$1] }
    }
    let mean = support.indices.map { k in
      var sum = CompensatedSum()
      for place in support.indices { sum += rates[place] * means[place][k] }
      return sum.value
    }
    var matrix = Matrix(rows: n, columns: n)
    var (meanError, varianceError) = (0.0, 0.0)
    for place in support.indices {
      let one = conditionals[place]
      meanError += rates[place] * 2 * one.meanError
      let size = one.mean.reduce(0) { max($0, $1.magnitude) }
      var deviation = 0.0
      for k in support.indices {
        let d = means[place][k] - mean[k]
        deviation = max(deviation, d.magnitude)
        for l in covariance ? 0..<support.count : k..<k + 1 {
          let product = l == k ? one.second[k] : one.products?[k, l] ?? 0
          let within = product - one.mean[k] * one.mean[l]
          let kept = l == k ? max(within, 0) : within
          matrix[support[k], support[l]] += rates[place] * (4 / draws * kept + d * (means[place][l] - mean[l]))
        }
      }
      varianceError +=
        rates[place] * (4 / draws * (one.secondError + 2 * size * one.meanError) + 4 * deviation * one.meanError)
    }
    var full = [Double](repeating: 0, count: n)
    for (k, i) in support.enumerated() { full[i] = mean[k] }
    let moments = Moments(
      mean: full, variance: (0..<n).map { matrix[$0, $0] }, covariance: covariance ? matrix : nil)
    // The mean's own error moves deviations, too, in the second order.
    return EstimatedMoments(
      moments: moments, method: .quadrature, outcomes: nil, meanError: meanError,
      varianceError: varianceError + meanError * meanError)
  }

  /// The moments of `(1/τ) J(p) u_i` given that i wins a race whose logits, `[support]`, these are.
  private func conditional(
    _ place: Int, slopes: [Double], logits: [Double], weight: Double, covariance: Bool, options: IntegrationOptions,
    continuing: (Int) -> Bool
  ) throws(IntegrationError) -> Conditional {
    let n = logits.count
    let zeros = [Double](repeating: 0, count: n)
    // Where the slopes are all the same nothing depends on the noise.
    guard n > 1, slopes.contains(where: { $0 != 0 }) else {
      return Conditional(
        mean: zeros, second: zeros, products: covariance ? Matrix(rows: n, columns: n) : nil, meanError: 0,
        secondError: 0)
    }
    var gradients = [[Double]](repeating: zeros, count: n)
    gradients[place] = slopes
    let race: RoutedProblem
    do throws(InvalidInput) {
      race = try RoutedProblem(
        .categorical(CategoricalProblem(logits: logits, source: .table(values: zeros, gradients: gradients))))
    } catch {
      throw .unavailable(Unavailable("needs gradients that Float64 holds"))
    }
    let estimate = try GumbelIntegral.moments(
      of: GumbelSoftmaxST(temperature: temperature), on: race, tolerance: options.tolerance, covariance: covariance,
      threads: options.threads, continuing: continuing)
    let (mean, variance) = (estimate.moments.mean, estimate.moments.variance)
    let size = mean.reduce(0) { max($0, $1.magnitude) }
    var products: Matrix?
    if let matrix = estimate.moments.covariance {
      var second = matrix
      for k in 0..<n { for l in 0..<n { second[k, l] = (matrix[k, l] + mean[k] * mean[l]) / weight } }
      products = second
    }
    return Conditional(
      mean: mean.map { $0 / weight }, second: zip(mean, variance).map { ($0 * $0 + $1) / weight }, products: products,
      meanError: estimate.meanError / weight,
      secondError: (estimate.varianceError + 2 * size * estimate.meanError) / weight)
  }
}
