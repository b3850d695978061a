/// `c·z`.
public struct Linear: Objective {
  /// c, `[dimension]`.
  public let coefficients: [Double]

  /// A linear function.
  ///
  /// - Throws: `InvalidInput` if a coefficient is not finite.
  public init(coefficients: [Double]) throws(InvalidInput) {
    try requireFinite(coefficients, "coefficients")
    self.coefficients = coefficients
  }

  public var dimension: Int { coefficients.count }

  public func value(at point: [Double]) -> Double { dot(coefficients, point) }

  public func gradient(at point: [Double]) -> [Double] { coefficients }
}
