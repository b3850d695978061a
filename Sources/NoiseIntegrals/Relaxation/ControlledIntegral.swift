import CStandardLibrary
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Exact mean and covariance of REBAR and RELAX where at most three experts may be drawn.
///
/// Given D the sample is `b_D + η X(z̃) + η Y(z)`, z and z̃ independent with one law (coupled: `b_D + η X(z)`). Both depend on the ratios r of the
/// race's times alone (``ControlledRelaxation``), n − 1 of them with n experts in the support, whose density is
/// `(n − 1)! Π π_l / (1 + Σ π_l r_l)ⁿ`: V/V' of exponentials. So for each D mean and covariance of X and of Y are integrals over n − 1 variables, and
/// ```
/// E ĝ = Σ π_D m_D,  m_D = b_D + η (E[X|D] + E[Y|D]),   Cov ĝ = Σ π_D [η² (Cov(X|D) + Cov(Y|D)) + (m_D − E ĝ)(m_D − E ĝ)ᵀ].
/// ```
/// **Quadrature**: the trapezoid rule in `log(π_l r_l)`, where the density is analytic in a strip and falls off like `e^{−|x|}`, and `log(1 + r)/τ` changes
/// within units whatever τ is; ranges reach as far as π_l and τ are small. Steps are refined until the difference from the step before, half as long again, meets the tolerance. The error falls like
/// `e^{−c/h}` for smooth f, and like a power of h where f has kinks.
///
/// **Errors** are four times the largest differences, what the ranges leave out, and a floor for rounding; relative to the largest `E|integrand|` of the mean, and to the
/// largest second moment.
///
/// *Source*: derived for this library.
package struct ControlledIntegral: Sendable {
  private let sampler: ControlledSampler
  private let covariance: Bool

  /// The evaluations of c after which an integral is given up.
  package static let largestEvaluations = 1_000_000

  /// h to begin with, what it is divided by, and the rounding error allowed for.
  private static let firstStep = 0.5
  private static let stepRatio = 1.5
  /// By how much differences are multiplied: where f has kinks the error falls so slowly that it may be as large.
  private static let caution = 4.0
  private static let roundingFloor = 0x1p-45
  /// Densities below e to the minus this are not summed with all their digits.
  private static let largestDepth = 690.0

  package init(_ sampler: ControlledSampler, covariance: Bool) {
    self.sampler = sampler
    self.covariance = covariance
  }

  private var support: [Int] { sampler.distribution.support }

  /// Moments with bounds on their errors, or nil where the tolerance is out of reach within ``largestEvaluations``.
  ///
  /// - Throws: ``IntegrationError/interrupted``.
  package func moments(
    tolerance: Double, threads: Int, continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> EstimatedMoments? {
    precondition(support.count <= ControlledSampler.mostIntegrated, "an integral over \(support.count - 1) variables")
    // Near equal times a is up to 1/τ, within a share τ π_l of all ratios: what ranges leave out is relative to that.
    let rare = support.reduce(min(log(sampler.temperature), 0)) {
      min($0, log(sampler.temperature) + sampler.logProbabilities[$1])
    }
    let share = tolerance > 0 ? min(max(10 - log(tolerance), 25), 46) : 46
    let depth = share - min(rare, 0)
    // No refinement gets below what rounding is allowed for.
    guard depth < Self.largestDepth, tolerance > Self.roundingFloor else { return nil }
    var evaluations = 0
    var step = Self.firstStep
    var coarse = try evaluate(step, depth, threads, &evaluations, continuing)
    while true {
      step /= Self.stepRatio
      let fine = try evaluate(step, depth, threads, &evaluations, continuing)
      let share = Self.roundingFloor + exp(-share) * depth * depth
      let meanError = Self.caution * largestDifference(fine.mean, coarse.mean) + share * fine.meanScale
      let varianceError =
        Self.caution * largestDifference(fine.matrix.elements, coarse.matrix.elements) + share * fine.squareScale
      func ratio(_ error: Double, _ scale: Double) -> Double { error == 0 ? 0 : error / scale }
      let isFinite = (fine.mean + fine.matrix.elements).allSatisfy(\.isFinite)
      let reached = max(ratio(meanError, fine.meanScale), ratio(varianceError, fine.squareScale))
      if reached <= tolerance || !isFinite {
        let n = sampler.distribution.experts
        return EstimatedMoments(
          moments: Moments(
            mean: fine.mean, variance: (0..<n).map { max(fine.matrix[$0, $0], 0) },
            covariance: covariance ? fine.matrix : nil),
          method: .quadrature, outcomes: nil, meanError: isFinite ? meanError : .infinity,
          varianceError: isFinite ? varianceError : .infinity)
      }
      let growth = support.count == 2 ? Self.stepRatio : Self.stepRatio * Self.stepRatio
      guard Double(evaluations) * growth <= Double(Self.largestEvaluations) else { return nil }
      coarse = fine
    }
  }

  // MARK: - One step

  /// Moments of all experts, and the sizes that errors are relative to.
  private struct Assembled {
    var mean: [Double]
    var matrix: Matrix
    var meanScale: Double
    var squareScale: Double
  }

  /// Sums over nodes given D, over the support: the weight, X and Y, their sizes and products.
  private struct Sums: Sendable {
    var weight = 0.0
    var means: [[Double]]
    var sizes: [Double]
    var products: [[Double]]
    var evaluations = 0

    init(_ n: Int) {
      means = [[Double]](repeating: [Double](repeating: 0, count: n), count: 2)
      sizes = [Double](repeating: 0, count: n)
      products = [[Double]](repeating: [Double](repeating: 0, count: n * n), count: 2)
    }

    mutating func add(_ other: Sums) {
      weight += other.weight
      evaluations += other.evaluations
      for part in 0..<2 {
        for e in means[part].indices { means[part][e] += other.means[part][e] }
        for e in products[part].indices { products[part][e] += other.products[part][e] }
      }
      for e in sizes.indices { sizes[e] += other.sizes[e] }
    }

    /// Means, and covariances in place of products, of what was summed relative to pivots; the weights are normalised.
    func shifted(by pivots: [[Double]]) -> Sums {
      var result = self
      let n = sizes.count
      result.sizes = sizes.map { $0 / weight }
      for part in 0..<2 {
        let deviations = means[part].map { $0 / weight }
        result.means[part] = zip(deviations, pivots[part]).map { $0 + $1 }
        for j in 0..<n {
          for k in j..<n {
            result.products[part][j * n + k] = products[part][j * n + k] / weight - deviations[j] * deviations[k]
          }
        }
      }
      return result
    }
  }

  private func evaluate(
    _ h: Double, _ depth: Double, _ threads: Int, _ evaluations: inout Int, _ continuing: (Int) -> Bool
  ) throws(IntegrationError) -> Assembled {
    let n = support.count
    let ends = Int((depth / h).rounded(.up))
    let nodes = Array(-ends...ends)
    let block = 8
    let blocks = (nodes.count + block - 1) / block
    var given: [Sums] = []
    for place in 0..<n {
      let before = evaluations
      // Differences from a node in the middle keep digits where X and Y hardly vary.
      let pivots = values(place, at: [Double](repeating: 0, count: n - 1))
      func isWanted(_ done: Int) -> Bool { continuing(before) }
      let parts = parallelMap(0..<blocks, threads: threads, continuing: isWanted) { index in
        var sums = Sums(n)
        for node in nodes[index * block..<min((index + 1) * block, nodes.count)] {
          add(place, h * Double(node), nodes.map { h * Double($0) }, depth, pivots, to: &sums)
        }
        return sums
      }
      guard let parts else { throw .interrupted }
      var total = Sums(n)
      for part in parts { total.add(part) }
      evaluations += total.evaluations
      given.append(total.shifted(by: pivots))
    }
    return assemble(given)
  }

  /// Adds the nodes with this first coordinate.
  private func add(
    _ place: Int, _ x: Double, _ others: [Double], _ depth: Double, _ pivots: [[Double]], to sums: inout Sums
  ) {
    if support.count == 2 {
      let density = exp(x - 2 * softplus(x))
      add(place, [x], density, pivots, to: &sums)
    } else {
      for y in others {
        // 2 XY/(1 + X + Y)³.
        let high = max(x, y, 0)
        let sum = exp(-high) + exp(x - high) + exp(y - high)
        let logDensity = x + y - 3 * (high + log(sum))
        guard logDensity > -depth - 2 else { continue }
        add(place, [x, y], 2 * exp(logDensity), pivots, to: &sums)
      }
    }
  }

  private func add(_ place: Int, _ x: [Double], _ density: Double, _ pivots: [[Double]], to sums: inout Sums) {
    let n = support.count
    let vectors = values(place, at: x)
    sums.weight += density
    sums.evaluations += 1
    for part in 0..<2 {
      for j in 0..<n {
        let deviation = vectors[part][j] - pivots[part][j]
        sums.means[part][j] += density * deviation
        sums.sizes[j] += density * vectors[part][j].magnitude
        for k in j..<n { sums.products[part][j * n + k] += density * deviation * (vectors[part][k] - pivots[part][k]) }
      }
    }
  }

  /// X and Y over the support, given D and the logarithms of `π_l r_l` of the others; Y is 0 of a coupled pair.
  private func values(_ place: Int, at x: [Double]) -> [[Double]] {
    var distances = [Double](repeating: 0, count: sampler.distribution.experts)
    var next = 0
    for (other, expert) in support.enumerated() where other != place {
      distances[expert] = softplus(x[next] - sampler.logProbabilities[expert])
      next += 1
    }
    let (conditional, free) = sampler.conditionalPart(of: support[place], distances: distances)
    return [support.map { conditional[$0] }, support.map { sampler.isCoupled ? 0 : free[$0] }]
  }

  private func assemble(_ given: [Sums]) -> Assembled {
    let (n, eta) = (support.count, sampler.scale)
    let rates = support.map { sampler.distribution.probabilities[$0] }
    let fixed = support.map { expert in
      let score = sampler.uncontrolled(expert)
      return support.map { score[$0] }
    }
    let means = (0..<n).map { i in
      (0..<n).map { j in fixed[i][j] + eta * (given[i].means[0][j] + given[i].means[1][j]) }
    }
    let mean = (0..<n).map { j in
      var sum = CompensatedSum()
      for i in 0..<n { sum += rates[i] * means[i][j] }
      return sum.value
    }
    var scales = [Double](repeating: 0, count: n)
    var squares = scales
    var matrix = Matrix(rows: sampler.distribution.experts, columns: sampler.distribution.experts)
    for i in 0..<n {
      for j in 0..<n {
        let size = fixed[i][j].magnitude + eta.magnitude * given[i].sizes[j]
        scales[j] += rates[i] * size
        squares[j] +=
          rates[i] * (size * size + eta * eta * (given[i].products[0][j * n + j] + given[i].products[1][j * n + j]))
        for k in j..<n {
          let within = eta * eta * (given[i].products[0][j * n + k] + given[i].products[1][j * n + k])
          matrix[support[j], support[k]] += rates[i] * (within + (means[i][j] - mean[j]) * (means[i][k] - mean[k]))
        }
      }
    }
    for j in 0..<n { for k in 0..<j { matrix[support[j], support[k]] = matrix[support[k], support[j]] } }
    var all = [Double](repeating: 0, count: sampler.distribution.experts)
    for (j, expert) in support.enumerated() { all[expert] = mean[j] }
    return Assembled(
      mean: all, matrix: matrix, meanScale: scales.reduce(0) { max($0, $1) },
      squareScale: squares.reduce(0) { max($0, $1) })
  }
}
