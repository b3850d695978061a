import GSLNumerics
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Jitter on the router's input, `θ = W (x∘u) + b` with `u_j ~ U[1−r, 1+r]`: the logits are correlated,
/// nothing factorises, and the integrals are done by Sobol points with random shifts in as many dimensions
/// as x has.
///
/// Gradients are those of the router's bias, `L(β) = E[G(softmax(θ + β)_D f_D)]` at β = 0. The boundary
/// between experts i and k is the plane `θ_i = θ_k` in u, and what crosses it when `β_k` grows is the
/// density of `θ_k − θ_i` at 0:
/// ```
/// ∂L/∂β_k = E[∂_k H_D]
///   + Σ_{i≠k} E_{u without u_j}[ 1{u_j* in range} 1{others below} (H_k − H_i)(u*) / (2r |a_j|) ],
/// ```
/// with `a = x ∘ (W_k − W_i)`, j the coordinate where |a| is largest, and `u_j*` where the two are equal. So
/// one point serves the mean of the sample, and, one coordinate of it replaced, every boundary.
///
/// *Edge cases*: a coordinate of x that is zero does nothing. Experts with the same weights and biases are
/// tied for every u: then the loss has no gradient. `r = 0` is deterministic.
///
/// Indices run over all experts.
struct InputJitterIntegral: Sendable {
  private let jitter: Double
  private let router: RouterInput
  private let backward: SwitchBackward
  private let specification: String
  /// Pairs i < k of the support with the coordinate that decides between them, and `a_j`; nil where none
  /// does.
  private let pairs: [(i: Int, k: Int, coordinate: Int, slope: Double)]
  /// Whether experts are tied for every u.
  let hasTies: Bool

  private var experts: Int { router.experts }

  /// - Throws: ``IntegrationError/unavailable(_:)`` where ``Switch/sampler(on:)`` is.
  init(_ estimator: Switch, _ problem: RoutedProblem) throws(IntegrationError) {
    let sampler: Switch.Sampler
    do { sampler = try estimator.sampler(on: problem) } catch { throw .unavailable(error) }
    guard let router = sampler.router else { preconditionFailure("jitter on logits has an integral of its own") }
    backward = sampler.backward
    jitter = estimator.jitter
    specification = estimator.specification
    self.router = router
    var pairs: [(i: Int, k: Int, coordinate: Int, slope: Double)] = []
    var hasTies = false
    let logits = router.logits
    let top = problem.distribution.support.map { logits[$0] }.reduce(-.infinity) { max($0, $1) }
    for k in problem.distribution.support {
      for i in problem.distribution.support where i < k {
        let slopes = router.input.indices.map {
          router.input[$0] * (router.weights[k, $0] - router.weights[i, $0])
        }
        let j = slopes.indices.reduce(0) { slopes[$1].magnitude > slopes[$0].magnitude ? $1 : $0 }
        if estimator.jitter > 0, !slopes.isEmpty, slopes[j] != 0 {
          pairs.append((i, k, j, slopes[j]))
        } else if logits[i] == logits[k], estimator.jitter > 0 || logits[k] == top {
          hasTies = true
        }
      }
    }
    self.pairs = pairs
    self.hasTies = hasTies
  }

  /// Means and standard errors of ĝ, ĝ², the boundary term, the loss, the products where wanted, and the
  /// choices.
  func integrate(
    points: Int, covariance: Bool, threads: Int, continuing: (_ points: Int) -> Bool = { _ in true }
  ) throws(IntegrationError) -> (means: [Double], errors: [Double]) {
    let n = experts
    let integral = QuasiRandomIntegral(
      dimension: router.input.count, points: QuasiRandomIntegral.points(budget: Double(points), cost: 1))
    var isInterrupted = false
    func goesOn(_ points: Int) -> Bool {
      isInterrupted = isInterrupted || !continuing(points)
      return !isInterrupted
    }
    do {
      return try integral.means(
        count: 4 * n + 1 + (covariance ? n * n : 0), threads: threads, continuing: goesOn
      ) { point, sums in
        let factors = point.map { 1 + jitter * (2 * $0 - 1) }
        let logits = router.logits(factors: factors)
        let (choice, sample) = backward.sample(logits: logits)
        for k in 0..<n {
          sums[k] += sample[k]
          sums[n + k] += sample[k] * sample[k]
          guard covariance else { continue }
          for l in (k + 1)..<max(n, k + 1) { sums[3 * n + 1 + k * n + l] += sample[k] * sample[l] }
        }
        sums[3 * n] += value(of: choice, logits: logits)
        sums[sums.count - n + choice] += 1
        for pair in pairs { addBoundary(pair, factors: factors, logits: logits, to: &sums) }
      }
    } catch {
      if isInterrupted { throw .interrupted }
      throw .tolerance(ToleranceNotReached(quantity: specification, requested: 0, reached: .infinity))
    }
  }

  func solution(
    points: Int, covariance: Bool, threads: Int, continuing: (_ points: Int) -> Bool
  ) throws(IntegrationError) -> JitterSolution {
    let (means, errors) = try integrate(
      points: points, covariance: covariance, threads: threads, continuing: continuing)
    let n = experts
    func sums(_ numbers: [Double]) -> JitterIntegral.Sums {
      var sums = JitterIntegral.Sums(experts: n, covariance: covariance)
      sums.means = Array(numbers[0..<n])
      sums.seconds = Array(numbers[n..<2 * n])
      sums.boundary = Array(numbers[2 * n..<3 * n])
      sums.value = numbers[3 * n]
      if covariance { sums.products = Array(numbers[(3 * n + 1)..<(3 * n + 1 + n * n)]) }
      return sums
    }
    let race = JitteredLogits(logits: router.logits, support: Array(0..<n), jitter: jitter)
    var solution = JitterSolution(
      race: race, sums: sums(means), errors: sums(errors), origin: 0, method: .monteCarlo)
    solution.isDifferentiable = !hasTies
    return solution
  }

  /// `G(softmax(θ)_i f_i)`.
  private func value(of i: Int, logits: [Double]) -> Double {
    let probabilities = RoutingDistribution(logits: backward.support.map { logits[$0] }).probabilities
    guard let place = backward.support.firstIndex(of: i) else { return .nan }
    return backward.loss.value(at: backward.directions.row(i).map { probabilities[place] * $0 })
  }

  private func addBoundary(
    _ pair: (i: Int, k: Int, coordinate: Int, slope: Double), factors: [Double], logits: [Double],
    to sums: inout [Double]
  ) {
    let (i, k, j, slope) = pair
    let step = -(logits[k] - logits[i]) / slope
    guard (factors[j] + step - 1).magnitude <= jitter else { return }
    let scale = router.input[j] * step
    var moved = (0..<experts).map { logits[$0] + scale * router.weights[$0, j] }
    moved[i] = moved[k]
    guard backward.support.allSatisfy({ $0 == i || $0 == k || moved[$0] < moved[k] }) else { return }
    let jump = (value(of: k, logits: moved) - value(of: i, logits: moved)) / (2 * jitter * slope.magnitude)
    sums[2 * experts + k] += jump
    sums[2 * experts + i] -= jump
  }
}
