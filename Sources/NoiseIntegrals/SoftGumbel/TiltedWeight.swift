import CStandardLibrary

/// Moments of `x = σ V^{−a}`, `V ~ Exp(1)`, tilted by `e^{−x}`: what the integrals of soft Gumbel-softmax
/// know of one expert.
///
/// *Numerics*: all terms are positive. For a ≤ 1 the trapezoid rule in `z = log V`, for a > 1 in `log x`,
/// each with the step at which the integrand is analytic in a strip of the same width in steps; the ends are
/// cut where less than 1e-19 of what is integrated is left. `φ` for a > 1 comes from integration by parts,
/// `∫ dξ x e^{−x} P(σV^{−a} < x)` with `ξ = log x`, whose integrand stays near x = 1.
struct TiltedWeight: Sendable {
  /// `φ = E e^{−x}`.
  var laplace = 0.0
  /// Moments of x under `x^p e^{−x}`, p = 0, 1, 2.
  var tilts: [Tilt]

  /// Moments under one tilt.
  struct Tilt: Sendable {
    /// `E[x^p e^{−x}]/φ`.
    var mass = 0.0
    /// The mean, and the central moments of order 2, 3, 4.
    var mean = 0.0
    var second = 0.0
    var third = 0.0
    var fourth = 0.0
  }

  /// Integrates.
  ///
  /// - Parameters:
  ///   - logScale: `log σ`.
  ///   - exponent: a.
  ///   - step: h.
  ///   - tilts: how many p are wanted: 1, or 3.
  ///   - order: the highest central moment wanted: 2 or 4.
  init(logScale d: Double, exponent a: Double, step h: Double, tilts count: Int, order: Int) {
    let highest = Double(count - 1 + order)
    // Sums of x^k e^{−x} over the distribution of x, k = 0…highest.
    var sums = [Double](repeating: 0, count: count + order)
    if a <= 1 {
      let kill = (d - Self.logLargest) / a
      let rate = 1 - highest * a
      let low = rate > 0.05 ? max(kill, -46 / rate) : max(kill, -2000)
      var z = (low / h).rounded(.down) * h
      while z < 4.3 {
        let x = exp(d - a * z)
        var term = h * exp(z - exp(z) - x)
        for k in sums.indices {
          sums[k] += term
          term *= x
        }
        z += h
      }
    } else {
      let tau = 1 / a
      let slow = tau < 0.95 ? -46 / (1 - tau) : -920
      var xi = (max(d - 4 * a, slow) / h).rounded(.down) * h
      var parts = 0.0
      while xi < Self.logLargest {
        let x = exp(xi)
        let v = exp(tau * (d - xi))
        let survival = exp(-v)
        let decay = exp(-x)
        parts += h * x * decay * survival
        var term = h * tau * v * survival * decay
        for k in sums.indices {
          sums[k] += term
          term *= x
        }
        xi += h
      }
      sums[0] = parts
    }
    laplace = sums[0]
    tilts = (0..<count).map { p in
      guard sums[0] > 0, sums[p] > 0 else { return Tilt() }
      let m = (1...max(order, 1)).map { sums[p + $0] / sums[p] }
      var tilt = Tilt(mass: sums[p] / sums[0], mean: m[0], second: max(m[1] - m[0] * m[0], 0))
      if order >= 4 {
        let (a, b, c, d) = (m[0], m[1], m[2], m[3])
        tilt.third = c - 3 * a * b + 2 * a * a * a
        tilt.fourth = d - 4 * a * c + 6 * a * a * b - 3 * a * a * a * a
      }
      return tilt
    }
  }

  /// Beyond x = e^{4.9} the factor e^{−x} leaves nothing of what counts.
  private static let logLargest = 4.9
}
