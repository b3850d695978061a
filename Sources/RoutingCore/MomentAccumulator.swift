/// Running sums of the powers of a vector's deviations from a fixed pivot, from which mean, variance and their standard
/// errors follow.
///
/// Accumulators of the same pivot merge by addition, so samples can be split over threads; merged in a fixed order the
/// result is the same to the bit.
///
/// *Numerics*: the pivot should lie within a few standard deviations of the mean; then nothing cancels.
public struct MomentAccumulator: Sendable {
  /// What deviations are taken from, `[experts]`.
  public let pivot: [Double]
  /// The number of samples.
  public private(set) var count = 0
  private var powers: [[Double]]  // sums of deviation^1 … deviation^4
  private var products: Matrix?

  /// An empty accumulator; with `covariance`, one that keeps products as well.
  public init(pivot: [Double], covariance: Bool) {
    self.pivot = pivot
    powers = [[Double]](repeating: [Double](repeating: 0, count: pivot.count), count: 4)
    products = covariance ? Matrix(rows: pivot.count, columns: pivot.count) : nil
  }

  /// Adds a sample.
  public mutating func add(_ sample: [Double]) {
    count += 1
    for k in pivot.indices {
      let d = sample[k] - pivot[k]
      let square = d * d
      powers[0][k] += d
      powers[1][k] += square
      powers[2][k] += square * d
      powers[3][k] += square * square
      if products != nil { for l in pivot.indices { products?[k, l] += d * (sample[l] - pivot[l]) } }
    }
  }

  /// Adds another accumulator's samples.
  ///
  /// - Precondition: both have the same pivot.
  public mutating func merge(_ other: MomentAccumulator) {
    precondition(pivot == other.pivot, "accumulators merge only with a common pivot")
    count += other.count
    for q in powers.indices { for k in pivot.indices { powers[q][k] += other.powers[q][k] } }
    if let theirs = other.products {
      for e in theirs.elements.indices { products?.elements[e] += theirs.elements[e] }
    }
  }

  /// Sample mean and unbiased sample variance, with the largest standard errors of a coordinate.
  ///
  /// - Precondition: at least two samples.
  public func estimate() -> (moments: Moments, meanError: Double, varianceError: Double) {
    precondition(count >= 2, "a variance needs two samples, got \(count)")
    let n = Double(count)
    var mean = pivot
    var variance = pivot
    var meanError = 0.0
    var varianceError = 0.0
    for k in pivot.indices {
      let m = (0..<4).map { powers[$0][k] / n }
      let second = max(m[1] - m[0] * m[0], 0)
      let fourth = m[3] - 4 * m[0] * m[2] + 6 * m[0] * m[0] * m[1] - 3 * m[0] * m[0] * m[0] * m[0]
      mean[k] = pivot[k] + m[0]
      variance[k] = second * n / (n - 1)
      meanError = max(meanError, (variance[k] / n).squareRoot())
      varianceError = max(
        varianceError, (max(fourth - second * second * (n - 3) / (n - 1), 0) / n).squareRoot())
    }
    var matrix: Matrix?
    if let products {
      var covariance = products
      for k in pivot.indices {
        for l in pivot.indices {
          covariance[k, l] = (products[k, l] - powers[0][k] * powers[0][l] / n) / (n - 1)
        }
      }
      matrix = covariance
    }
    return (Moments(mean: mean, variance: variance, covariance: matrix), meanError, varianceError)
  }
}
