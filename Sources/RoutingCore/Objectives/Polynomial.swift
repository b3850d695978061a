/// `Σ_q k_q (v·z)^q`, a polynomial along one direction.
public struct Polynomial: Objective {
  /// k, one coefficient per degree from 0 on.
  public let coefficients: [Double]
  /// v, `[dimension]`.
  public let direction: [Double]

  /// A polynomial of degree `coefficients.count − 1`.
  ///
  /// - Throws: `InvalidInput` if there is no coefficient or an entry is not finite.
  public init(coefficients: [Double], direction: [Double]) throws(InvalidInput) {
    guard !coefficients.isEmpty else {
      throw InvalidInput("coefficients", "expected at least one number, got none")
    }
    try requireFinite(coefficients, "coefficients")
    try requireFinite(direction, "direction")
    self.coefficients = coefficients
    self.direction = direction
  }

  public var dimension: Int { direction.count }

  public func value(at point: [Double]) -> Double {
    let x = dot(direction, point)
    return coefficients.reversed().reduce(0) { $0 * x + $1 }
  }

  public func gradient(at point: [Double]) -> [Double] {
    let x = dot(direction, point)
    var slope = 0.0
    for q in coefficients.indices.dropFirst().reversed() { slope = slope * x + Double(q) * coefficients[q] }
    return direction.map { slope * $0 }
  }
}
