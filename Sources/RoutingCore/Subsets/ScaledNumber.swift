import CStandardLibrary

/// A number `significand · 2^exponent` whose exponent has 64 bits: sums and products of `e^θ` for logits of any size, where a
/// logarithm would lose as many digits as its own size has.
///
/// *Numerics*: every operation rounds once, as Float64 does; terms more than 2¹²⁰ times smaller than a sum are left out of it.
struct ScaledNumber: Sendable, Equatable {
  /// 0, or between 1 and 2 in magnitude.
  private(set) var significand: Double
  private(set) var exponent: Int

  static let zero = ScaledNumber(0)
  static let one = ScaledNumber(1)

  /// - Precondition: `value` is finite.
  init(_ value: Double) { self.init(significand: value, exponent: 0) }

  private init(significand: Double, exponent: Int) {
    guard significand != 0 else {
      (self.significand, self.exponent) = (0, 0)
      return
    }
    let shift = Int(significand.exponent)
    self.significand = significand < 0 ? -significand.significand : significand.significand
    self.exponent = exponent + shift
  }

  /// Where a difference of logits counts as infinite: far beyond what any probability shows, and small enough that exponents of
  /// products of some thousand of them are whole numbers.
  static let largestLogarithm = 1e12

  /// `e^x (1 + error)`; 0 for −∞. Beyond ``largestLogarithm`` x counts as that.
  ///
  /// *Numerics*: `x − n log 2` is formed with two parts of log 2 and fused multiplications, so that what is left of x has all its
  /// digits.
  init(exp x: Double, error: Double = 0) {
    guard x > -.infinity else {
      self = .zero
      return
    }
    let x = min(max(x, -Self.largestLogarithm), Self.largestLogarithm)
    let (high, low) = (0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56)
    let n = (x / high).rounded()
    let rest = x.addingProduct(-n, high).addingProduct(-n, low)
    self.init(significand: CStandardLibrary.exp(rest) * (1 + error), exponent: Int(n))
  }

  /// `e^{θ − c}`, the difference's rounding error carried along.
  init(exp logit: Double, relativeTo reference: Double) {
    let difference = logit - reference
    guard difference.magnitude < 1e6 else {
      // What is finite stays above 0, even where the difference overflows.
      self.init(exp: logit > -.infinity ? max(difference, -Self.largestLogarithm) : difference)
      return
    }
    let shift = difference - logit
    self.init(exp: difference, error: (logit - (difference - shift)) - (reference + shift))
  }

  static func + (a: ScaledNumber, b: ScaledNumber) -> ScaledNumber {
    if a.significand == 0 { return b }
    if b.significand == 0 { return a }
    let (large, small) = a.exponent >= b.exponent ? (a, b) : (b, a)
    let distance = large.exponent - small.exponent
    guard distance <= 120 else { return large }
    let term = small.significand * Double(sign: .plus, exponent: -distance, significand: 1)
    return ScaledNumber(significand: large.significand + term, exponent: large.exponent)
  }

  static prefix func - (a: ScaledNumber) -> ScaledNumber {
    var negative = a
    negative.significand = -a.significand
    return negative
  }

  static func - (a: ScaledNumber, b: ScaledNumber) -> ScaledNumber { a + -b }

  static func * (a: ScaledNumber, b: ScaledNumber) -> ScaledNumber {
    ScaledNumber(significand: a.significand * b.significand, exponent: a.exponent + b.exponent)
  }

  static func += (a: inout ScaledNumber, b: ScaledNumber) { a = a + b }

  /// `a / b`.
  ///
  /// - Precondition: b is not zero.
  static func / (a: ScaledNumber, b: ScaledNumber) -> ScaledNumber {
    precondition(b.significand != 0, "division of scaled numbers by zero")
    return ScaledNumber(significand: a.significand / b.significand, exponent: a.exponent - b.exponent)
  }

  /// The nearest Float64; 0 or ±∞ beyond its range.
  var value: Double { Double(sign: .plus, exponent: exponent, significand: significand) }

  /// The square root's Float64, of a number that is not negative.
  var squareRoot: Double {
    let isOdd = exponent & 1 == 1
    return Double(
      sign: .plus, exponent: (exponent - (isOdd ? 1 : 0)) / 2,
      significand: (isOdd ? 2 * significand : significand).squareRoot())
  }

  /// The logarithm; −∞ of 0.
  var logarithm: Double { significand == 0 ? -.infinity : log(significand) + Double(exponent) * 0x1.62e42fefa39efp-1 }
}
