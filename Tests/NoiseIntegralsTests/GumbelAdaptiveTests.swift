import CStandardLibrary
import GSLNumerics
import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

private let worst = WorstError("Gumbel integrals, GSL")

/// The integrals against GSL's adaptive quadrature of the definition: over the logistic difference of two perturbed logits,
/// and over both differences of three. No code is shared with the product.
@Suite("Gumbel integrals against GSL", .reporting(worst))
struct GumbelAdaptiveTests {
  static let gradients2 = [[0.5, -1.25], [0.8125, 0.3]]
  static let gradients3 = [[0.5, -1.25, 2], [0.7, 0.3, -0.9], [-1.1, 0.0625, 0.45]]

  private func problem(_ logits: [Double], _ gradients: [[Double]]) throws -> RoutedProblem {
    try RoutedProblem(
      .categorical(
        CategoricalProblem(logits: logits, source: .table(values: logits, gradients: gradients))))
  }

  private func logistic(_ x: Double) -> Double { x > 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)) }

  /// `L = θ_0 + Γ_0 − θ_1 − Γ_1` is logistic about Δ; `D = 0` iff `L > 0`, and `ĝ_0 = (1/τ) p(1 − p)(u_{D,0} − u_{D,1})`.
  @Test(arguments: [0.05, 0.3, 1, 2, 10])
  func twoExperts(_ tau: Double) throws {
    for logits in [[0.3, -0.4], [0, 0], [3, -5]] {
      let delta = logits[0] - logits[1]
      let u = Self.gradients2
      func moment(_ power: Int) throws -> Double {
        var total = 0.0
        for sign in [1.0, -1] {
          let difference = sign > 0 ? u[0][0] - u[0][1] : u[1][0] - u[1][1]
          total += try Integration.integrate(
            { t in
              let x = sign * t
              let sample = logistic(x / tau) * logistic(-x / tau) * difference / tau
              return logistic(x - delta) * logistic(delta - x) * (power == 1 ? sample : sample * sample)
            }, from: 0, relativeTolerance: 1e-12
          ).value
        }
        return total
      }
      let mean = try moment(1)
      let variance = try moment(2) - mean * mean
      let estimate = try GumbelIntegral.moments(
        of: GumbelSoftmaxST(temperature: tau), on: try problem(logits, u), tolerance: 1e-11)
      let place = "\(logits) tau=\(tau)"
      expectClose(
        estimate.moments.mean, [mean, -mean], relative: 1e-11, to: worst, quantity: "mean, N = 2", place)
      expectClose(
        estimate.moments.variance, [variance, variance], relative: 1e-10, to: worst,
        quantity: "variance, N = 2",
        place)
    }
  }

  /// Given D the distances x, y > 0 of the other two from the winner have the density
  /// `2 λ_D λ_k e^x λ_l e^y / (λ_D + λ_k e^x + λ_l e^y)³` on {D}.
  @Test func threeExperts() throws {
    let logits = [0.7, -1.1, 0.25]
    let tau = 0.6
    let weights = logits.map { exp($0) }
    let rates = weights.map { $0 / weights.reduce(0, +) }
    let u = Self.gradients3
    func moment(_ j: Int, _ power: Int) throws -> Double {
      var total = 0.0
      for winner in 0..<3 {
        let others = (0..<3).filter { $0 != winner }
        let place = winner == j ? nil : others.firstIndex(of: j)
        total += try Integration.integrate(
          { x in
            let a = rates[others[0]] * exp(min(x, 300))
            let first = exp(-x / tau)
            let inner = try? Integration.integrate(
              { y in
                let b = rates[others[1]] * exp(min(y, 300))
                let second = exp(-y / tau)
                let sum = rates[winner] + a + b
                let density = 2 * rates[winner] * (a / sum) * (b / sum) / sum
                let p = [
                  1 / (1 + first + second), first / (1 + first + second), second / (1 + first + second),
                ]
                let own = place.map { p[$0 + 1] } ?? p[0]
                let average =
                  p[0] * u[winner][winner] + p[1] * u[winner][others[0]] + p[2] * u[winner][others[1]]
                let sample = own * (u[winner][j] - average) / tau
                return density * (power == 1 ? sample : sample * sample)
              }, from: 0, absoluteTolerance: 1e-13, relativeTolerance: 1e-9)
            return inner?.value ?? .nan
          }, from: 0, absoluteTolerance: 1e-10, relativeTolerance: 1e-8
        ).value
      }
      return total
    }
    let estimate = try GumbelIntegral.moments(
      of: GumbelSoftmaxST(temperature: tau), on: try problem(logits, u))
    for j in [0, 2] {
      let mean = try moment(j, 1)
      expectClose([estimate.moments.mean[j]], [mean], relative: 1e-8, to: worst, quantity: "mean, N = 3")
      if j == 0 {
        expectClose(
          [estimate.moments.variance[j]], [try moment(j, 2) - mean * mean], relative: 1e-7, to: worst,
          quantity: "variance, N = 3")
      }
    }
  }
}
