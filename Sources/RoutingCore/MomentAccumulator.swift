/// Running sums of the powers of a vector's deviations from a fixed pivot, from which mean, covariance and
/// their standard errors follow.
///
/// Accumulators of the same pivot merge by addition, so samples can be split over threads; merged in a fixed
/// order the result is the same to the bit.
///
/// *Numerics*: the pivot should lie within a few standard deviations of the mean; then nothing cancels. Sums are kept of
/// deviations over a power of two near their size, so that fourth powers neither overflow nor underflow.
package struct MomentAccumulator: Sendable {
  /// What deviations are taken from, `[experts]`.
  package let pivot: [Double]
  /// What deviations are divided by: a power of two.
  package let scale: Double
  /// The number of samples.
  package private(set) var count = 0
  /// Sums, d being deviations over the scale, of d, d², d³, d⁴, `[4][experts]`.
  package private(set) var powers: [Double]
  var products: Products?

  /// Sums of products of two coordinates' powers, all `[experts][experts]`.
  struct Products: Sendable {
    /// `d_k d_l`, for l ≥ k.
    var plain: [Double]
    /// `d_k² d_l`.
    var mixed: [Double]
    /// `d_k² d_l²`, for l ≥ k.
    var squared: [Double]
  }

  /// An empty accumulator; with `covariance`, one that keeps products as well.
  ///
  /// - Parameter size: about how large deviations are; where their fourth powers are safe in Float64 they are not scaled.
  package init(pivot: [Double], covariance: Bool, size: Double = 1) {
    self.pivot = pivot
    let isSafe = size == 0 || !size.isFinite || (0x1p-200...0x1p200).contains(size)
    scale = isSafe ? 1 : min(max(size.binade, 0x1p-1020), 0x1p1020)
    powers = [Double](repeating: 0, count: 4 * pivot.count)
    let zeros = [Double](repeating: 0, count: pivot.count * pivot.count)
    products = covariance ? Products(plain: zeros, mixed: zeros, squared: zeros) : nil
  }

  /// Adds a sample, or as many equal ones as `multiplicity` says.
  ///
  /// - Complexity: O(experts), with covariance O(experts²).
  package mutating func add(_ sample: [Double], multiplicity: Int = 1) {
    let n = pivot.count
    precondition(sample.count == n, "a sample has \(n) coordinates, got \(sample.count)")
    count += multiplicity
    let weight = Double(multiplicity)
    for k in 0..<n {
      let d = (sample[k] - pivot[k]) / scale
      let square = d * d
      powers[k] += weight * d
      powers[n + k] += weight * square
      powers[2 * n + k] += weight * (square * d)
      powers[3 * n + k] += weight * (square * square)
    }
    products?.add(sample, pivot: pivot, scale: scale, weight: weight)
  }

  /// Adds another accumulator's samples.
  ///
  /// - Precondition: both have the same pivot and scale.
  package mutating func merge(_ other: MomentAccumulator) {
    precondition(pivot == other.pivot && scale == other.scale, "accumulators merge only with a common pivot")
    count += other.count
    for e in powers.indices { powers[e] += other.powers[e] }
    if let theirs = other.products { products?.merge(theirs) }
  }

  /// Sample mean and unbiased sample covariance, with the largest standard errors of a coordinate.
  ///
  /// - Precondition: at least two samples.
  package func estimate() -> (moments: Moments, meanError: Double, varianceError: Double) {
    let errors = standardErrors()
    let (n, samples) = (pivot.count, Double(count))
    let mean = (0..<n).map { pivot[$0] + powers[$0] / samples * scale }
    var matrix: Matrix?
    if let products {
      var covariance = Matrix(rows: n, columns: n)
      for k in 0..<n {
        for l in k..<n {
          let entry = (products.plain[k * n + l] - powers[k] * powers[l] / samples) / (samples - 1)
          covariance[k, l] = entry * scale * scale
          covariance[l, k] = covariance[k, l]
        }
      }
      matrix = covariance
    }
    let moments = Moments(
      mean: mean, variance: (0..<n).map { centralMoments($0).second * samples / (samples - 1) * scale * scale },
      covariance: matrix)
    func largest(_ errors: [Double]) -> Double { errors.reduce(0) { max($0, $1) } }
    return (moments, largest(errors.mean), largest(errors.variance))
  }

  /// The second and the fourth moment of a coordinate about its sample mean, of deviations over the scale.
  func centralMoments(_ k: Int) -> (second: Double, fourth: Double) {
    let m = (0..<4).map { powers[$0 * pivot.count + k] / Double(count) }
    let fourth = m[3] - 4 * m[0] * m[2] + 6 * m[0] * m[0] * m[1] - 3 * m[0] * m[0] * m[0] * m[0]
    return (max(m[1] - m[0] * m[0], 0), fourth)
  }
}

extension MomentAccumulator.Products {
  mutating func add(_ sample: [Double], pivot: [Double], scale: Double, weight: Double) {
    let n = pivot.count
    for k in 0..<n {
      let d = (sample[k] - pivot[k]) / scale
      guard d != 0 else { continue }
      for l in 0..<n {
        let e = (sample[l] - pivot[l]) / scale
        mixed[k * n + l] += weight * (d * d * e)
        guard l >= k else { continue }
        plain[k * n + l] += weight * (d * e)
        squared[k * n + l] += weight * (d * d * (e * e))
      }
    }
  }

  mutating func merge(_ other: Self) {
    for e in plain.indices {
      plain[e] += other.plain[e]
      mixed[e] += other.mixed[e]
      squared[e] += other.squared[e]
    }
  }
}
