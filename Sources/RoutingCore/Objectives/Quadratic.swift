/// `½ zᵀAz + b·z`, A any square matrix: only its symmetric part `½(A + Aᵀ)` counts, and is kept.
public struct Quadratic: Objective {
  /// `½(A + Aᵀ)`, by rows; entries that agree with their mirror images are as they were given.
  public let matrix: [[Double]]
  /// b, `[dimension]`.
  public let linear: [Double]

  /// A quadratic function.
  ///
  /// - Throws: `InvalidInput` if the matrix is not square of the length of `linear`, or an entry is not finite.
  public init(matrix: [[Double]], linear: [Double]) throws(InvalidInput) {
    try requireFinite(linear, "linear")
    try requireFinite(rows: matrix, count: linear.count, width: linear.count, "matrix")
    self.matrix = matrix.indices.map { i in
      matrix.indices.map { j in
        let (entry, mirrored) = (matrix[i][j], matrix[j][i])
        return entry == mirrored ? entry : midpoint(entry, mirrored)
      }
    }
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

/// `½(a + b)`, rounded once; finite where both are.
private func midpoint(_ a: Double, _ b: Double) -> Double {
  let sum = a + b
  return sum.isFinite ? 0.5 * sum : 0.5 * a + 0.5 * b
}
