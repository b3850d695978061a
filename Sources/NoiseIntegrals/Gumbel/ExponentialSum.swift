import CStandardLibrary
import GSLNumerics

/// `1/S² ≈ Σ_q α_q e^{−s_q (S − 1)}` and `1/S⁴ ≈ Σ_q β_q e^{−s_q (S − 1)}` for `1 ≤ S ≤ R`, to nearly all digits with few terms.
///
/// `1/S² = ∫ s e^{−sS} ds` and its kin say that such sums exist. The trapezoid rule in log s needs about 100 terms for 14
/// digits, most of them at s so small that the exponentials hardly bend. Here the s are geometric from `0.5/R` to 35 and the
/// weights come from least squares (relative errors, Chebyshev points in log S), which takes 24 terms for R = 2 and 48
/// for R = 128.
///
/// *Numerics*: the error is measured on a finer grid, so what uses the sum knows it: an estimator's expectation is off by at
/// most this times the expectation of its magnitude. Weights may be negative; `Σ |α_q| e^{…}` stays within a few times the
/// sum (ends and number of the nodes were chosen for that), and its rounding is part of the measured error.
///
/// FUTURE WORK: the best nodes (Braess and Hackbusch, IMA J. Numer. Anal. 25 (2005)) would save a third of the terms.
struct ExponentialSum: Sendable {
  /// s, ascending; a multiple of eight of them.
  let nodes: [Double]
  /// α and β.
  let squareWeights: [Double]
  let fourthWeights: [Double]
  /// The largest relative errors found.
  let squareError: Double
  let fourthError: Double

  /// The sum for `1 ≤ S ≤ R`, R the next power of two from `largest`.
  init(upTo largest: Int) throws(GSLError) {
    let doublings = max(Int.bitWidth - (largest - 1).leadingZeroBitCount, 1)
    let range = exp2(Double(doublings))
    let count = Self.terms(doublings: doublings)
    let first = log(0.5 / range)
    let ratio = (log(35) - first) / Double(count - 1)
    let nodes = (0..<count).map { exp(first + ratio * Double($0)) }
    let points = (0..<4 * count).map { k in
      pow(range, 0.5 - 0.5 * cos(.pi * (Double(k) + 0.5) / Double(4 * count)))
    }
    let checks = (0...20 * count).map { pow(range, Double($0) / Double(20 * count)) }
    func fit(power: Double) throws(GSLError) -> (weights: [Double], error: Double) {
      // A row of the system whose every right-hand side is 1, each column scaled to length about 1.
      func row(_ sum: Double) -> [Double] { nodes.map { pow(sum, power) * exp(-$0 * (sum - 1)) } }
      let rows = points.map(row)
      let scales = nodes.indices.map { q in rows.reduce(0) { max($0, $1[q]) } }
      let solution = try LinearFit(
        rows: rows.map { row in zip(row, scales).map { $0 / $1 } }, observations: points.map { _ in 1 })
      let weights = zip(solution.coefficients, scales).map { $0 / $1 }
      var worst = 0.0
      for point in checks {
        let terms = zip(row(point), weights).map { $0 * $1 }
        let rounding = 0x1p-53 * terms.reduce(0) { $0 + $1.magnitude }
        worst = max(worst, (terms.reduce(0, +) - 1).magnitude + rounding)
      }
      return (weights, worst)
    }
    let square = try fit(power: 2)
    let fourth = try fit(power: 4)
    self.nodes = nodes
    (squareWeights, squareError) = square
    (fourthWeights, fourthError) = fourth
  }

  /// The number of terms that gives about 1e-14 for R = 2^doublings.
  private static func terms(doublings: Int) -> Int {
    switch doublings {
    case 1: 24
    case 2...3: 32
    case 4...5: 40
    case 6...8: 48
    default: 56 + 8 * max(0, (doublings - 8) / 3)
    }
  }
}
