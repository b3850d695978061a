import CStandardLibrary
import GSLNumerics
import RoutingEstimators
import Testing
import _TestSupport

private let worst = WorstError("quadrature rules")

/// Our quadrature rules against GSL's tables and Runge–Kutta steppers.
@Suite(.reporting(worst)) struct QuadratureRuleReferenceTests {
  /// GSL has tables of 1 to 20, 32 and 64 points; the others it computes as it goes, to about 1e-10.
  @Test(arguments: 1...QuadratureRule.largestGaussLegendre)
  func gaussLegendre(_ n: Int) throws {
    let ours = QuadratureRule.gaussLegendre(n)
    let reference = try ReferenceRules.gaussLegendre(n)
    try #require(reference.count == n)
    let isTabulated = n <= 20 || n == 32 || n == 64
    for k in 0..<n {
      let (node, weight) = reference[k]
      if isTabulated {
        // A node is one half plus or minus half a root, so it is right to the last bit of one half.
        worst.record(
          (ours.nodes[k] - node) / 0x1p-53, of: "Gauss–Legendre nodes, units of 2⁻⁵³", at: "\(n) points, \(k)"
        )
        worst.record(
          (ours.weights[k] - weight) / 0x1p-53, of: "Gauss–Legendre weights, units of 2⁻⁵³",
          at: "\(n) points, \(k)")
        expectClose(ours.nodes[k], node, within: 0x1p-52, "node \(k) of \(n)")
        // A weight inherits its root's last bit; near the ends that is many of its own ulps, and none of the
        // integral's.
        expectClose(ours.weights[k], weight, within: 0x1p-51, "weight \(k) of \(n)")
      } else {
        expectClose(ours.nodes[k], node, within: 1e-10, "node \(k) of \(n)")
        expectClose(ours.weights[k], weight, within: 1e-10, "weight \(k) of \(n)")
      }
    }
  }

  static let functions: [@Sendable (Double) -> Double] = [
    { exp($0) }, { sin(5 * $0) }, { 1 / (1 + $0 * $0) }, { pow($0, 7) }, { $0.squareRoot() },
    { tanh(4 * $0 - 1) },
  ]

  private func integral(_ rule: QuadratureRule, _ slope: (Double) -> Double) -> Double {
    zip(rule.nodes, rule.weights).reduce(0) { $0 + $1.1 * slope($1.0) }
  }

  @Test(arguments: functions.indices)
  func fehlberg(_ k: Int) throws {
    let slope = Self.functions[k]
    let step = try ReferenceRules.step(.rkf45, slope)
    let (fourth, fifth) = (integral(.rkf4, slope), integral(.rkf5, slope))
    worst.record(fifth - step.value, of: "rkf5 against GSL's step, absolute", at: "function \(k)")
    expectClose(fifth, step.value, within: 1e-15)
    // The pair's error estimate is the difference of its two halves.
    worst.record(
      (fifth - fourth).magnitude - step.error.magnitude, of: "rkf5 − rkf4 against GSL's error",
      at: "function \(k)")
    expectClose((fifth - fourth).magnitude, step.error.magnitude, within: 1e-15)
    #expect(k == 3 || (fifth - fourth).magnitude > 1e-9, "the two halves differ")
  }

  /// GSL takes the classical method as two half steps: Simpson's rule on each half.
  @Test(arguments: functions.indices)
  func simpson(_ k: Int) throws {
    let slope = Self.functions[k]
    let halves =
      0.5 * integral(.simpson) { slope(0.5 * $0) } + 0.5 * integral(.simpson) { slope(0.5 + 0.5 * $0) }
    expectClose(halves, try ReferenceRules.step(.rk4, slope).value, within: 1e-15)
  }
}
