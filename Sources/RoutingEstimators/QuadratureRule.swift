import CStandardLibrary

/// A quadrature rule on [0, 1]: `∫₀¹ φ(t) dt ≈ Σ_k b_k φ(c_k)`.
///
/// Applied to `φ(t) = G'(tπf)·πf` it estimates `G(πf) − G(0)`, so an estimator built on it needs the loss's slope at the
/// chosen expert's output alone. A value of this type is checked when it is made: the weights sum to one and the rule
/// is exact to the degree it declares.
///
/// *Source*: arXiv 2310.00811, section 3, for Euler and midpoint; the others are the classical rules.
public struct QuadratureRule: Sendable, Equatable {
  /// Its name on the command line.
  public let name: String
  /// c, in [0, 1], distinct.
  public let nodes: [Double]
  /// b, summing to one.
  public let weights: [Double]
  /// The degree of G along the ray up to which `G(πf) − G(0)` is exact: one more than that of φ.
  public let degree: Int

  /// A rule.
  ///
  /// - Precondition: lengths agree, and `Σ_k b_k c_k^{q−1} = 1/q` for q = 1 … degree, to rounding.
  init(name: String, nodes: [Double], weights: [Double], degree: Int) {
    precondition(nodes.count == weights.count, "\(name): \(nodes.count) nodes and \(weights.count) weights")
    for q in 1...degree {
      let moment = zip(nodes, weights).reduce(0) { $0 + $1.1 * pow($1.0, Double(q - 1)) }
      precondition((moment - 1 / Double(q)).magnitude < 1e-14, "\(name) is not exact to degree \(q): \(moment)")
    }
    self.name = name
    self.nodes = nodes
    self.weights = weights
    self.degree = degree
  }

  /// Forward Euler: the slope at the end.
  public static let euler = QuadratureRule(name: "euler", nodes: [1], weights: [1], degree: 1)
  /// The slope in the middle.
  public static let midpoint = QuadratureRule(name: "midpoint", nodes: [1.0 / 2], weights: [1], degree: 2)
  /// Heun's third-order method (a Radau rule).
  public static let heun3 = QuadratureRule(
    name: "heun3", nodes: [1, 1.0 / 3], weights: [1.0 / 4, 3.0 / 4], degree: 3)
  /// Simpson's rule, which the classical Runge–Kutta method becomes here.
  public static let simpson = QuadratureRule(
    name: "simpson", nodes: [0, 1.0 / 2, 1], weights: [1.0 / 6, 2.0 / 3, 1.0 / 6], degree: 4)
  /// The fourth-order half of Fehlberg's 4(5) pair.
  public static let rkf4 = QuadratureRule(
    name: "rkf4", nodes: [0, 3.0 / 8, 12.0 / 13, 1],
    weights: [25.0 / 216, 1408.0 / 2565, 2197.0 / 4104, -1.0 / 5], degree: 4)
  /// The fifth-order half of Fehlberg's 4(5) pair.
  public static let rkf5 = QuadratureRule(
    name: "rkf5", nodes: [0, 3.0 / 8, 12.0 / 13, 1, 1.0 / 2],
    weights: [16.0 / 135, 6656.0 / 12825, 28561.0 / 56430, -9.0 / 50, 2.0 / 55], degree: 5)

  /// The n-point Gauss–Legendre rule, nodes in increasing order.
  ///
  /// *Numerics*: the roots of P_n by Newton's method from Chebyshev's guess, to the last bit or two.
  ///
  /// - Precondition: 1 ≤ n ≤ `largestGaussLegendre`.
  public static func gaussLegendre(_ n: Int) -> QuadratureRule {
    precondition((1...largestGaussLegendre).contains(n), "Gauss–Legendre with \(n) points")
    var nodes = [Double](repeating: 0.5, count: n)
    var weights = [Double](repeating: 0, count: n)
    for k in 0..<(n + 1) / 2 {
      var x = n % 2 == 1 && k == n / 2 ? 0 : cos(.pi * (Double(k) + 0.75) / (Double(n) + 0.5))
      var slope = 0.0
      for _ in 0..<100 {
        let (value, derivative) = legendre(n, at: x)
        slope = derivative
        let step = value / derivative
        x -= step
        if step.magnitude <= 1e-16 { break }
      }
      (_, slope) = legendre(n, at: x)
      nodes[k] = (1 - x) / 2
      nodes[n - 1 - k] = (1 + x) / 2
      weights[k] = 1 / ((1 - x * x) * slope * slope)
      weights[n - 1 - k] = weights[k]
    }
    return QuadratureRule(name: "gauss-legendre", nodes: nodes, weights: weights, degree: 2 * n)
  }

  /// The largest Gauss–Legendre rule offered.
  package static let largestGaussLegendre = 64

  /// The rules without a parameter, by name.
  package static let fixed = [euler, midpoint, heun3, simpson, rkf4, rkf5]

  /// P_n(x) and P_n'(x), by the three-term recurrence.
  private static func legendre(_ n: Int, at x: Double) -> (value: Double, derivative: Double) {
    var previous = 1.0
    var current = x
    for k in 1..<Swift.max(n, 1) {
      let next = (Double(2 * k + 1) * x * current - Double(k) * previous) / Double(k + 1)
      previous = current
      current = next
    }
    return (current, Double(n) * (previous - x * current) / (1 - x * x))
  }
}
