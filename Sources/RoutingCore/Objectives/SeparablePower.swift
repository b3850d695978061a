import CStandardLibrary

/// `Σ_j w_j |z_j − t_j|^p` with p > 1.
///
/// *Edge cases*: at `z_j = t_j` the gradient's coordinate is 0, its limit.
public struct SeparablePower: Objective {
  /// p.
  public let exponent: Double
  /// t, `[dimension]`.
  public let targets: [Double]
  /// w, `[dimension]`.
  public let weights: [Double]

  /// A separable power.
  ///
  /// - Throws: `InvalidInput` if the exponent is not above 1, or an entry is not finite.
  public init(exponent: Double, targets: [Double], weights: [Double]? = nil) throws(InvalidInput) {
    guard exponent > 1, exponent.isFinite else {
      throw InvalidInput("exponent", "expected a finite number above 1, got \(exponent)")
    }
    try requireFinite(targets, "targets")
    if let weights { try requireFinite(weights, count: targets.count, "weights") }
    self.exponent = exponent
    self.targets = targets
    self.weights = weights ?? [Double](repeating: 1, count: targets.count)
  }

  public var dimension: Int { targets.count }

  public func value(at point: [Double]) -> Double {
    var sum = CompensatedSum()
    for j in targets.indices where weights[j] != 0 {
      sum += weights[j] * pow((point[j] - targets[j]).magnitude, exponent)
    }
    return sum.value
  }

  public func gradient(at point: [Double]) -> [Double] {
    targets.indices.map { j in
      let difference = point[j] - targets[j]
      guard difference != 0, weights[j] != 0 else { return 0 }
      let slope = weights[j] * exponent * pow(difference.magnitude, exponent - 1)
      return difference > 0 ? slope : -slope
    }
  }
}
