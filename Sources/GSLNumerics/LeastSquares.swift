internal import CGSL

/// The least-squares solution of `X c ≈ y` for one X and many y, small singular values left out.
///
/// Where the columns of X are nearly dependent (a dictionary with more functions than it needs) this gives
/// moderate coefficients and a small residual; the coefficients themselves are then not unique.
///
/// *Source*: GSL manual, "Linear Algebra", `gsl_linalg_SV_decomp` (Golub–Reinsch).
package struct LeastSquares: Sendable {
  /// The number of columns of X.
  package let columns: Int
  /// The number of singular values kept.
  package let rank: Int
  private let observations: Int
  private let left: [Double]  // U, row-major [observations][columns]
  private let values: [Double]
  private let right: [Double]  // V, row-major [columns][columns]

  /// Decomposes X.
  ///
  /// - Parameters:
  ///   - rows: X, by rows, all of one length.
  ///   - cutoff: singular values below this times the largest are left out; 1e-14 keeps what Float64
  ///     resolves.
  /// - Throws: ``GSLError`` if there are fewer rows than columns, or GSL fails.
  package init(rows: [[Double]], cutoff: Double = 1e-14) throws(GSLError) {
    GSLRuntime.prepare()
    let n = rows.count
    let p = rows.first?.count ?? 0
    guard p > 0, n >= p, rows.allSatisfy({ $0.count == p }), rows.allSatisfy({ $0.allSatisfy(\.isFinite) })
    else {
      throw GSLError(
        code: Int(GSL_EINVAL), operation: "least squares", reason: "\(n) rows of \(p) columns, or not finite")
    }
    let factor = gsl_matrix_alloc(n, p)
    let rotation = gsl_matrix_alloc(p, p)
    let singular = gsl_vector_alloc(p)
    let work = gsl_vector_alloc(p)
    defer {
      gsl_matrix_free(factor)
      gsl_matrix_free(rotation)
      gsl_vector_free(singular)
      gsl_vector_free(work)
    }
    for i in 0..<n { for j in 0..<p { gsl_matrix_set(factor, i, j, rows[i][j]) } }
    try GSLRuntime.check(
      gsl_linalg_SV_decomp(factor, rotation, singular, work), "singular value decomposition")
    let values = (0..<p).map { gsl_vector_get(singular, $0) }
    columns = p
    rank = values.prefix { $0 > cutoff * values[0] }.count
    observations = n
    left = (0..<n).flatMap { i in (0..<p).map { gsl_matrix_get(factor, i, $0) } }
    right = (0..<p).flatMap { i in (0..<p).map { gsl_matrix_get(rotation, i, $0) } }
    self.values = values
  }

  /// c, `[columns]`: `Σ_k v_k (u_k·y)/s_k` over the singular values kept.
  ///
  /// - Precondition: as many observations as X has rows.
  package func coefficients(for y: [Double]) -> [Double] {
    precondition(y.count == observations, "\(y.count) observations for \(observations) rows")
    var result = [Double](repeating: 0, count: columns)
    for k in 0..<rank {
      var projection = 0.0
      for i in 0..<observations { projection += left[i * columns + k] * y[i] }
      projection /= values[k]
      for j in 0..<columns { result[j] += right[j * columns + k] * projection }
    }
    return result
  }
}
