import CKernels
import CStandardLibrary
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// What the integrals of ``GumbelIntegral`` need of a problem: experts racing with exponential times, of whom the first is
/// chosen. Indices run over the support.
struct GumbelRace: Sendable {
  /// The experts of the support, and how many there are in all.
  let support: [Int]
  let allExperts: Int
  /// λ and log λ.
  let rates: [Double]
  let logRates: [Double]
  /// The lowest index with the same rate: its tables serve both.
  let twins: [Int]
  /// `u_{i,l} − u_{i,i}` over `scale`, row-major.
  let gradients: [Double]
  /// A power of two no less than the largest gradient, so that squares neither overflow nor underflow.
  let scale: Double
  /// What the gating sample is given i, row-major `[n][n]`; zeros on a categorical problem.
  let gating: Matrix
  /// τ.
  let temperature: Double

  /// The number of experts in the support.
  var experts: Int { support.count }
  /// The logarithm of the smallest rate.
  var smallestLogRate: Double { logRates.reduce(0) { min($0, $1) } }
  /// `a = 1/τ`.
  var exponent: Double { min(1 / temperature, .greatestFiniteMagnitude) }

  init(problem: RoutedProblem, temperature: Double) throws(Unavailable) {
    let distribution = problem.distribution
    let support = distribution.support
    let n = support.count
    let logarithms = problem.logProbabilities()
    let weights = try problem.gatingWeights()
    var centred = [Double](repeating: 0, count: n * n)
    var gating = Matrix(rows: n, columns: n)
    for (i, expert) in support.enumerated() {
      let row = try problem.choiceGradient(at: expert)
      for (l, other) in support.enumerated() {
        centred[i * n + l] = row[other] - row[expert]
        guard weights[expert] != 0 else { continue }
        gating[i, l] =
          weights[expert] * (l == i ? distribution.complements[other] : -distribution.probabilities[other])
      }
    }
    let largest = centred.reduce(0) { max($0, $1.magnitude) }
    let scale = largest > 0 && largest.isFinite ? largest.binade : 1
    self.support = support
    self.allExperts = problem.experts
    self.rates = support.map { distribution.probabilities[$0] }
    let logRates = support.map { logarithms[$0] }
    self.logRates = logRates
    self.twins = logRates.indices.map { l in logRates.firstIndex(of: logRates[l]) ?? l }
    self.gradients = centred.map { $0 / scale }
    self.scale = scale
    self.gating = gating
    self.temperature = temperature
  }

  /// Moments of the support's experts as moments of all, zero elsewhere.
  func scattered(_ moments: Moments) -> Moments {
    var mean = [Double](repeating: 0, count: allExperts)
    var variance = mean
    var matrix = moments.covariance.map { _ in Matrix(rows: allExperts, columns: allExperts) }
    for (j, expert) in support.enumerated() {
      mean[expert] = moments.mean[j]
      variance[expert] = moments.variance[j]
      guard let covariance = moments.covariance else { continue }
      for (k, other) in support.enumerated() { matrix?[expert, other] = covariance[j, k] }
    }
    return Moments(mean: mean, variance: variance, covariance: matrix)
  }
}

// MARK: - Quadrature

/// The trapezoid rule's nodes in x = log m and z = log V, all multiples of h.
private struct Grid {
  /// Beyond e^4.25 the factors e^{−m} and e^{−V} leave less than 1e-28.
  static let top = 4.25
  /// V below e^{−700} is lost; what that may cost is added to the error.
  static let floor = -700.0

  let step: Double
  let x: [Double]
  let firstZ: Double
  let weights: [Double]
  let below: [Double]

  /// The nodes for a race.
  ///
  /// Towards m → 0 the integrand falls at least like m^{1 + min(1, a)}, as does E[w_l], up to what N experts in S may add;
  /// towards V → 0 it is V's own density, whose scale is λ_l m, divided by a if a is large. e^{−depth} is left out.
  init(race: GumbelRace, step h: Double, depth: Double) {
    let n = Double(race.experts)
    let a = race.exponent
    step = h
    let lowestX = -(depth + 2 * log(n)) / (1 + min(1, a))
    x = Self.multiples(of: h, from: lowestX, to: Self.top)
    let lowestZ = max(race.smallestLogRate + lowestX - max(log(a), 0) - depth - 5, Self.floor)
    let z = Self.multiples(of: h, from: lowestZ, to: Self.top)
    // Normalised, so that φ = 1 at s = 0 for every step.
    let raw = z.map { exp($0 - exp($0)) }
    let total = raw.reduce(0, +)
    firstZ = z[0]
    weights = raw.map { $0 / total }
    var sum = 0.0
    below = weights.map { weight in
      defer { sum += weight }
      return sum
    }
  }

  private static func multiples(of h: Double, from low: Double, to high: Double) -> [Double] {
    let first = (low / h).rounded(.down)
    return (0...Int((high / h).rounded(.down) - first)).map { h * (first + Double($0)) }
  }
}

/// Sums over some nodes of m: of `E[ĝ|i]`, of `Σ_i λ_i E[ĝ_j²|i]` and of `Σ_i λ_i E[ĝ_jĝ_k|i]`, j < k, without scales.
private struct PartialSums: Sendable {
  var means: [Double]
  var seconds: [Double]
  var products: [Double]

  mutating func add(_ other: PartialSums) {
    for e in means.indices { means[e] += other.means[e] }
    for e in seconds.indices { seconds[e] += other.seconds[e] }
    for e in products.indices { products[e] += other.products[e] }
  }
}

extension GumbelRace {
  /// Nodes of m that one task does, in order; fixed, so that the sums do not depend on the number of threads.
  private static var blockSize: Int { 4 }

  /// The moments given each choice, by the trapezoid rule with step h.
  ///
  /// - Parameters:
  ///   - h: the step in log m and log V.
  ///   - depth: ranges leave out e^{−depth} of what they hold.
  ///   - evaluations: counts the nodes of m.
  ///   - continuing: told how many there were; false calls the integrals off.
  /// - Returns: nil if they were called off.
  func integrate(
    step h: Double, depth: Double, powers: ExponentialSum, covariance: Bool, threads: Int, evaluations: inout Int,
    continuing: (_ evaluations: Int) -> Bool
  ) -> ConditionalMoments? {
    let grid = Grid(race: self, step: h, depth: depth)
    let blocks = (grid.x.count + Self.blockSize - 1) / Self.blockSize
    let before = evaluations
    let asking = { continuing(before + $0 * Self.blockSize) }
    let parts = parallelMap(0..<blocks, threads: threads, continuing: asking) { block in
      let nodes = block * Self.blockSize..<min((block + 1) * Self.blockSize, grid.x.count)
      return sums(
        over: nodes.map { grid.x[$0] }, grid: grid, depth: depth, powers: powers, covariance: covariance)
    }
    guard let parts else { return nil }
    evaluations += grid.x.count
    var total = parts[0]
    for part in parts.dropFirst() { total.add(part) }
    return ConditionalMoments(
      race: self, means: total.means, seconds: total.seconds, products: covariance ? total.products : nil)
  }

  private func sums(
    over x: [Double], grid: Grid, depth: Double, powers: ExponentialSum, covariance: Bool
  ) -> PartialSums {
    let n = experts
    let width = powers.nodes.count
    func zeros(_ count: Int) -> [Double] { [Double](repeating: 0, count: count) }
    var result = PartialSums(means: zeros(n * n), seconds: zeros(n), products: zeros(covariance ? n * n : 0))
    var logPhi = zeros(n * width)
    var r = zeros(n * width)
    var r2 = zeros(n * width)
    var c = zeros(n * width)
    var points = zeros(2 * (grid.weights.count + 2))
    var scratch = zeros((3 + Int(RG_GUMBEL_VECTORS) * n) * width)
    var workspace = zeros(covariance ? (8 * n + 1) * width : 0)
    for node in x {
      rg_gumbel_tables(
        n, logRates, twins, node, exponent, exp(-depth - 5), grid.weights.count, grid.firstZ, grid.step,
        grid.weights, grid.below, width, powers.nodes, &points, &logPhi, &r, &r2, &c)
      rg_gumbel_moments(
        n, width, rates, gradients, powers.squareWeights, powers.fourthWeights,
        node - exp(node) + log(grid.step), logPhi, r, r2, c, &scratch, &result.means, &result.seconds)
      if covariance {
        rg_gumbel_products(n, width, gradients, r, c, scratch, &workspace, &result.products)
      }
    }
    return result
  }

  /// What the comparison of two steps does not see.
  ///
  /// - Returns: shares of the scales of ``GumbelIntegral`` (the exponential sums' errors, with a margin for samples larger
  ///   than their conditional means; what the ranges leave out; rounding), and absolute bounds on what V below the grid adds: its
  ///   probability, times the largest sample.
  func omissions(depth: Double, powers: ExponentialSum) -> Omissions {
    let share = 4 * exp(-depth)
    // Nodes and rates are known to an ulp of their logarithms; the sums themselves are better than 2^−49.
    let rounding = 0x1p-49 + 0x1p-53 * smallestLogRate.magnitude
    var result = Omissions(
      meanShare: 4 * powers.squareError + share + rounding,
      secondShare: powers.fourthError + share + rounding, mean: 0, second: 0)
    let lowest = smallestLogRate - max(log(exponent), 0) - 2 * depth - 5 - 2 * log(Double(experts))
    if lowest < Grid.floor {
      let largest = scale / temperature
      let probability = exp(Grid.floor) * Double(experts)
      result.mean = 4 * largest * probability
      result.second = 16 * largest * largest * probability
    }
    return result
  }

  /// Bounds on errors that do not depend on the step.
  struct Omissions {
    /// Relative to the scales of ``GumbelIntegral``.
    var meanShare: Double
    var secondShare: Double
    /// Absolute.
    var mean: Double
    var second: Double
  }
}
