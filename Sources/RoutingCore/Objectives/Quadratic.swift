/// `½ zᵀAz + b·z` with symmetric A.
public struct Quadratic: Objective {
  /// A, by rows.
  public let matrix: [[Double]]
  /// b, `[dimension]`.
  public let linear: [Double]

  /// A quadratic function.
  ///
  /// - Throws: `InvalidInput` if the matrix is not square of the length of `linear`, not symmetric, or an entry is not
  ///   finite.
  public init(matrix: [[Double]], linear: [Double]) throws(InvalidInput) {
    try requireFinite(linear, "linear")
    try requireFinite(rows: matrix, count: linear.count, width: linear.count, "matrix")
    for i in matrix.indices {
      for j in 0..<i where matrix[i][j] != matrix[j][i] {
        throw InvalidInput(
          "matrix[\(i)][\(j)]",
          "expected a symmetric matrix, got \(matrix[i][j]) here and \(matrix[j][i]) at [\(j)][\(i)]")
      }
    }
    self.matrix = matrix
    self.linear = linear
  }

  public var dimension: Int { linear.count }

  public func value(at point: [Double]) -> Double {
    var sum = CompensatedSum()
    for (i, row) in matrix.enumerated() { sum += point[i] * (0.5 * dot(row, point) + linear[i]) }
    return sum.value
  }

  public func gradient(at point: [Double]) -> [Double] {
    matrix.indices.map { dot(matrix[$0], point) + linear[$0] }
  }
}
