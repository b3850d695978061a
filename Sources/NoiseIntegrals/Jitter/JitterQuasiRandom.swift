import CStandardLibrary
import GSLNumerics
import RoutingCore

/// The integrals of ``JitterExpectation`` by quasi-random points: where a loss has kinks, or the logits
/// spread too far for the products.
///
/// Conditional: every expert wins at every point. Given that i wins with the value t the others are uniform
/// below t, so coordinate i of the point sets t, the other coordinates where the others lie, and the
/// probability of all this is a weight. What is left is continuous. For the boundary every pair of experts
/// shares t.
struct JitterQuasiRandom: Sendable {
  let race: JitteredLogits
  let loss: any Objective
  let directions: Matrix

  /// The integrals, in the order of `JitterIntegral.Sums`, with standard errors.
  ///
  /// - Parameters:
  ///   - evaluations: about how many exponentials may be spent.
  ///   - continuing: see ``QuasiRandomIntegral``.
  func solution(
    evaluations: Double, covariance: Bool, threads: Int, continuing: (_ points: Int) -> Bool = { _ in true }
  ) throws(GSLError) -> JitterSolution {
    let n = race.experts
    let winners = Double(race.reachable.count)
    let cost = Double(n) * (winners + winners * winners / 2) * (covariance ? 2 : 1)
    let integral = QuasiRandomIntegral(
      dimension: n, points: QuasiRandomIntegral.points(budget: evaluations, cost: cost))
    let origin = loss.value(at: [Double](repeating: 0, count: directions.columns))
    let (means, errors) = try integral.means(
      count: 3 * n + 1 + (covariance ? n * n : 0), threads: threads, continuing: continuing
    ) { point, sums in
      for i in race.reachable { addSample(winner: i, point, covariance: covariance, to: &sums) }
      guard race.certain == nil else { return }
      let values = race.reachable
      for (place, k) in values.enumerated() {
        for j in values[..<place] { addBoundary(k, j, point, origin: origin, to: &sums) }
      }
    }
    let estimate = unpack(means, covariance: covariance)
    let spread = unpack(errors, covariance: covariance)
    return JitterSolution(
      race: race, sums: estimate, errors: spread, origin: origin, method: .monteCarlo)
  }

  private func unpack(_ numbers: [Double], covariance: Bool) -> JitterIntegral.Sums {
    let n = race.experts
    var sums = JitterIntegral.Sums(experts: n, covariance: covariance)
    sums.means = Array(numbers[0..<n])
    sums.seconds = Array(numbers[n..<2 * n])
    sums.boundary = Array(numbers[2 * n..<3 * n])
    sums.value = numbers[3 * n]
    if covariance { sums.products = Array(numbers[(3 * n + 1)...]) }
    return sums
  }

  /// `w_l = e^{x_l − t}` and `u_l` of all others, and the probability that they lie below t.
  private func others(
    than winners: [Int], at z: Double, _ point: [Double]
  ) -> (share: Double, w: [Double], u: [Double], sum: Double) {
    var share = 1.0
    var w = [Double](repeating: 0, count: race.experts)
    var u = w
    var sum = 0.0
    for l in 0..<race.experts where !winners.contains(l) {
      let level = race.level(l, at: z)
      share *= (level + 1) / 2
      let v = -1 + point[l] * (level + 1)
      w[l] = exp(min(race.distance(l, level: v, at: z), 0))
      u[l] = race.factor(l, level: v)
      sum += w[l]
    }
    return (share, w, u, sum)
  }

  private func addSample(winner i: Int, _ point: [Double], covariance: Bool, to sums: inout [Double]) {
    let n = race.experts
    let bottom = race.breakpoints[0]
    var z = 0.0
    var weight = 1.0
    var factor = race.factor(i, level: race.top == 0 ? 2 * point[i] - 1 : 0)
    if race.certain == nil {
      let length = race.high[i] - bottom
      z = bottom + point[i] * length
      weight = length * race.density(i, at: z)
      factor = race.factor(i, at: z)
    }
    let (share, w, u, sum) = others(than: [i], at: z, point)
    weight *= share
    guard weight > 0 else { return }
    let m = 1 / (1 + sum)
    let row = directions.row(race.support[i])
    let output = row.map { m * $0 }
    let slope = dot(loss.gradient(at: output), row)
    var sample = zip(w, u).map { -slope * m * m * $0 * $1 }
    sample[i] = slope * m * m * sum * factor
    for k in 0..<n {
      sums[k] += weight * sample[k]
      sums[n + k] += weight * sample[k] * sample[k]
      guard covariance else { continue }
      for l in (k + 1)..<max(n, k + 1) { sums[3 * n + 1 + k * n + l] += weight * sample[k] * sample[l] }
    }
    let origin = loss.value(at: row.map { _ in 0 })
    sums[3 * n] += weight * (loss.value(at: output) - origin)
  }

  private func addBoundary(
    _ k: Int, _ j: Int, _ point: [Double], origin: Double, to sums: inout [Double]
  ) {
    let n = race.experts
    let bottom = race.breakpoints[0]
    let length = min(race.high[k], race.high[j]) - bottom
    let z = bottom + point[k] * length
    let (share, _, _, sum) = others(than: [k, j], at: z, point)
    let weight = length * race.density(k, at: z) * race.density(j, at: z) * share / race.slope
    guard weight > 0 else { return }
    let m = 1 / (2 + sum)
    func value(_ i: Int) -> Double { loss.value(at: directions.row(race.support[i]).map { m * $0 }) - origin }
    let jump = weight * (value(k) - value(j))
    sums[2 * n + k] += race.factor(k, at: z) * jump
    sums[2 * n + j] -= race.factor(j, at: z) * jump
  }
}
