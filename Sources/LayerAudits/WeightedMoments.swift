import LayerTensors

/// Weight, mean and total variance of vectors that come with weights; those of parts can be put together.
struct WeightedMoments: Sendable {
  /// `W = Σ w`.
  var weight: Double
  /// `μ = Σ w x / W`.
  var mean: [Double]
  /// `Σ w ‖x − μ‖² / W`.
  var variance: Double

  /// Moments that are known.
  init(weight: Double, mean: [Double], variance: Double) {
    self.weight = weight
    self.mean = mean
    self.variance = variance
  }

  /// The moments of rows, `[count, width]`, from the row `start` on, whose weights sum to `total`.
  ///
  /// *Numerics*: a sum of squared deviations.
  init(
    _ rows: [Double], from start: Int = 0, count: Int, width: Int, total: Double = 1, weight: (Int) -> Double
  ) {
    self.weight = total
    var mean = [Double](repeating: 0, count: width)
    var variance = 0.0
    rows.withUnsafeBufferPointer { rows in
      // Where nothing has a weight, there is nothing to be had.
      guard total > 0, let first = rows.baseAddress.map({ $0 + start * width }) else { return }
      for k in 0..<count {
        Double.addScaled(first + k * width, factor: weight(k) / total, scale: nil, to: &mean, count: width)
      }
      guard count > 1 else { return }
      for k in 0..<count {
        variance += weight(k) / total * Double.squaredDistance(first + k * width, from: mean, count: width)
      }
    }
    self.mean = mean
    self.variance = variance
  }

  /// Adds another part: `Var = (W₁ Var₁ + W₂ Var₂)/W + (W₁ W₂/W²) ‖μ₁ − μ₂‖²`, where nothing is subtracted but means.
  ///
  /// *Source*: Chan, Golub and LeVeque, The American Statistician 37 (1983).
  mutating func add(_ other: WeightedMoments) {
    let total = weight + other.weight
    guard total > 0 else { return }
    let (one, two) = (weight / total, other.weight / total)
    var square = 0.0
    for j in mean.indices {
      let difference = other.mean[j] - mean[j]
      square += difference * difference
      mean[j] += two * difference
    }
    variance = one * variance + two * other.variance + one * two * square
    weight = total
  }

  /// The sum of a part that may not be there yet and another.
  static func add(_ other: WeightedMoments, to sum: inout WeightedMoments?) {
    if sum == nil { sum = other } else { sum?.add(other) }
  }
}

/// `Σ x²`.
func squaredNorm(_ x: some Sequence<Double>) -> Double { x.reduce(0) { $0 + $1 * $1 } }
