import CStandardLibrary
import GSLNumerics
import RoutingCore

/// A complex number, as far as the jitter integrals need it.
struct Complex: Sendable {
  var re = 0.0
  var im = 0.0

  static func + (a: Complex, b: Complex) -> Complex { Complex(re: a.re + b.re, im: a.im + b.im) }
  static func - (a: Complex, b: Complex) -> Complex { Complex(re: a.re - b.re, im: a.im - b.im) }
  static func * (a: Complex, b: Complex) -> Complex {
    Complex(re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re)
  }
  static func * (a: Double, b: Complex) -> Complex { Complex(re: a * b.re, im: a * b.im) }
  static func += (a: inout Complex, b: Complex) { a = a + b }

  /// `e^z`.
  static func exponential(_ z: Complex) -> Complex {
    let size = exp(z.re)
    return z.im == 0 ? Complex(re: size) : Complex(re: size * cos(z.im), im: size * sin(z.im))
  }
}

/// What the losses along the experts' rays do as functions of `S = 1/m`, as sums of exponentials:
/// `ψ(S) ≈ Re Σ_κ α_κ e^{κ(S − a)}` for `a ≤ S ≤ b`.
///
/// Three functions for each expert that can win, with `c_i(m) = G'(m f_i)·f_i`: `c_i(1/S)/S²`, its square,
/// and `G(f_i/S) − G(0)`.
///
/// The dictionary holds `e^{iπq(S−a)/(b−a)}`, q = 0…Q, of twice the interval's length as their period, and
/// decaying exponentials with geometric rates. Either alone would do: the Fourier extension for whatever is
/// smooth, slowly where b/a is large; the decaying ones for powers of S, as in ``ExponentialSum``. Together
/// they take the fewest terms. The weights come from least squares, small singular values left out, so they
/// stay moderate.
///
/// *Numerics*: the residual is measured on a grid five times as fine, rounding included; what uses an
/// expansion knows by how much it is off at most. Analytic losses reach 1e-14; kinks (`separable-power` with
/// an exponent that is no even number, where the ray passes the target) only 1e-4 or so.
struct RayExpansion: Sendable {
  /// The κ with imaginary parts: `i · fundamental · q`, q = 0…fourierTerms.
  let fourierTerms: Int
  let fundamental: Double
  /// −κ of the others.
  let rates: [Double]
  /// Powers of two, by which the functions of each kind were divided.
  let slopeScale: Double
  let valueScale: Double
  /// Coefficients, times `e^{κ(1−a)}`: at the place of an expert, one for each κ; empty where it cannot win.
  let slopes: [[Complex]]
  let squares: [[Complex]]
  let values: [[Complex]]
  /// The largest residuals.
  let slopeResiduals: [Double]
  let squareResiduals: [Double]
  let valueResiduals: [Double]
  /// Whether the loss was finite wherever it was evaluated.
  let isFinite: Bool

  /// The number of exponentials.
  var terms: Int { fourierTerms + 1 + rates.count }
  /// The largest residual relative to the scales.
  var largestResidual: Double {
    (slopeResiduals + squareResiduals + valueResiduals).reduce(0) { $1 <= $0 ? $0 : $1 }
  }

  /// The frequencies and decay rates tried, in this order.
  static let levels = [(12, 12), (16, 24), (32, 24), (56, 32)]

  /// Expands the rays of the experts that can win.
  ///
  /// - Parameters:
  ///   - level: how many terms, an index of ``levels``.
  ///   - race: who can win, and how large S can be.
  /// - Throws: `GSLError` if GSL's decomposition fails.
  init(level: Int, race: JitteredLogits, loss: any Objective, directions: Matrix) throws(GSLError) {
    let (Q, E) = Self.levels[level]
    let range = Self.range(of: race)
    let (a, width) = (range.lowerBound, range.upperBound - range.lowerBound)
    let fundamental = Double.pi / width
    let lowest = log(0.7 / range.upperBound)
    let rates = (0..<E).map { exp(lowest + (log(32 / a) - lowest) * Double($0) / Double(E - 1)) }
    func row(_ s: Double) -> [Double] {
      let angles = (0...Q).map { fundamental * Double($0) * s }
      return angles.map { cos($0) } + angles.dropFirst().map { sin($0) } + rates.map { exp(-$0 * s) }
    }
    func chebyshev(_ count: Int) -> [Double] {
      (0..<count).map { width * (0.5 - 0.5 * cos(.pi * (Double($0) + 0.5) / Double(count))) }
    }
    let columns = 2 * Q + 1 + E
    let points = chebyshev(2 * columns)
    let checks = chebyshev(10 * columns) + [0, width]
    let fit = try LeastSquares(rows: points.map(row))
    let checkRows = checks.map(row)
    let origin = loss.value(at: [Double](repeating: 0, count: directions.columns))

    var samples: [Int: (slopes: [Double], values: [Double])] = [:]
    for i in race.reachable {
      let direction = directions.row(race.support[i])
      let multipliers = (points + checks).map { 1 / (a + $0) }
      let rays = loss.rays(
        RayBundle(
          directions: multipliers.flatMap { _ in direction }, multipliers: multipliers, nodes: [1]))
      samples[i] = (
        zip(rays.slopes, multipliers).map { $0 * $1 * $1 }, rays.values.map { $0 - origin }
      )
    }
    func scale(_ values: [Double]) -> Double {
      let largest = values.reduce(0) { $1.magnitude <= $0 ? $0 : $1.magnitude }
      return largest > 0 && largest.isFinite ? largest.binade : 1
    }
    isFinite = samples.values.allSatisfy {
      $0.slopes.allSatisfy(\.isFinite) && $0.values.allSatisfy(\.isFinite)
    }
    let slopeScale = scale(samples.values.flatMap(\.slopes))
    let valueScale = scale(samples.values.flatMap(\.values))
    let shifts =
      (0...Q).map { Complex.exponential(Complex(im: fundamental * Double($0) * (1 - a))) }
      + rates.map { Complex(re: exp(-$0 * (1 - a))) }

    var slopes = [[Complex]](repeating: [], count: race.experts)
    var squares = slopes
    var values = slopes
    var residuals = [[Double]](repeating: [Double](repeating: 0, count: race.experts), count: 3)
    func expand(_ samples: [Double]) -> (coefficients: [Complex], residual: Double) {
      let weights = fit.coefficients(for: Array(samples.prefix(points.count)))
      var worst = 0.0
      for (row, sample) in zip(checkRows, samples.dropFirst(points.count)) {
        var sum = 0.0
        var size = 0.0
        for (basis, weight) in zip(row, weights) {
          sum += basis * weight
          size += (basis * weight).magnitude
        }
        let error = (sum - sample).magnitude + 0x1p-53 * size
        if !(error <= worst) { worst = error }
      }
      let fourier = (0...Q).map { Complex(re: weights[$0], im: $0 == 0 ? 0 : -weights[Q + $0]) }
      let decaying = weights.suffix(E).map { Complex(re: $0) }
      return (zip(fourier + decaying, shifts).map { $0 * $1 }, worst)
    }
    for (i, sample) in samples {
      let slope = sample.slopes.map { $0 / slopeScale }
      (slopes[i], residuals[0][i]) = expand(slope)
      (squares[i], residuals[1][i]) = expand(slope.map { $0 * $0 })
      (values[i], residuals[2][i]) = expand(sample.values.map { $0 / valueScale })
    }
    self.fourierTerms = Q
    self.fundamental = fundamental
    self.rates = rates
    self.slopeScale = slopeScale
    self.valueScale = valueScale
    self.slopes = slopes
    self.squares = squares
    self.values = values
    (slopeResiduals, squareResiduals, valueResiduals) = (residuals[0], residuals[1], residuals[2])
  }

  /// Where `S = Σ_l e^{x_l − x_D}` lies, made a tenth longer than its lower end where it is shorter: S
  /// enters e^{κS}, whose phase must not magnify rounding.
  static func range(of race: JitteredLogits) -> ClosedRange<Double> {
    let bottom = race.breakpoints[0]
    var lowest = Double.infinity
    var highest = 1.0
    for i in race.reachable {
      var least = 1.0
      var most = 1.0
      for l in race.logits.indices where l != i {
        let end = race.certain == nil ? race.high[i] : 0
        least += exp(min(race.distance(l, level: -1, at: end), 0))
        most += exp(min(race.distance(l, level: 1, at: bottom), 0))
      }
      lowest = min(lowest, least)
      highest = max(highest, most)
    }
    return lowest...max(highest, 1.1 * lowest)
  }
}
