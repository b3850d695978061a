import CKernels
import CStandardLibrary

/// `Σ_j log cosh(a_j z_j − t_j)`.
///
/// *Numerics*: `log cosh x = ½ log1p(sinh² x)` for moderate x and `|x| − log 2 + log1p(e^{−2|x|})` beyond, so that neither
/// end cancels or overflows. Along rays a vectorised kernel does the same work with one exponential for the three
/// nodes 1, ½, ⅓ (`CKernels/log_cosh_rays.c`); it agrees with the scalar formulas to a few ulps.
public struct LogCosh: Objective {
  /// a, `[dimension]`.
  public let scales: [Double]
  /// t, `[dimension]`.
  public let targets: [Double]

  /// A sum of log cosh.
  ///
  /// - Throws: `InvalidInput` if the lengths differ or an entry is not finite.
  public init(scales: [Double], targets: [Double]) throws(InvalidInput) {
    try requireFinite(scales, "scales")
    try requireFinite(targets, count: scales.count, "targets")
    self.scales = scales
    self.targets = targets
  }

  public var dimension: Int { scales.count }

  public func value(at point: [Double]) -> Double {
    var sum = CompensatedSum()
    for j in scales.indices { sum += Self.logCosh(scales[j] * point[j] - targets[j]) }
    return sum.value
  }

  public func gradient(at point: [Double]) -> [Double] {
    scales.indices.map { scales[$0] * tanh(scales[$0] * point[$0] - targets[$0]) }
  }

  public func rays(
    directions: Span<Double>, multipliers: Span<Double>, nodes: Span<Double>, values: inout MutableSpan<Double>,
    slopes: inout MutableSpan<Double>
  ) {
    precondition(
      directions.count == multipliers.count * dimension
        && values.count == multipliers.count && slopes.count == nodes.count * multipliers.count,
      "rays of log-cosh: the lengths of the arguments disagree")
    directions.withUnsafeBufferPointer { r in
      multipliers.withUnsafeBufferPointer { p in
        nodes.withUnsafeBufferPointer { c in
          values.withUnsafeMutableBufferPointer { values in
            slopes.withUnsafeMutableBufferPointer { slopes in
              rg_log_cosh_rays(
                p.count, dimension, r.baseAddress, p.baseAddress, scales, targets, c.count, c.baseAddress,
                values.baseAddress, slopes.baseAddress)
            }
          }
        }
      }
    }
  }

  /// `log cosh x`, to about 2 ulps.
  static func logCosh(_ x: Double) -> Double {
    let magnitude = x.magnitude
    if magnitude < 20 {
      let s = sinh(magnitude)
      return 0.5 * log1p(s * s)
    }
    return magnitude - 0.693147180559945309417 + log1p(exp(-2 * magnitude))
  }
}
