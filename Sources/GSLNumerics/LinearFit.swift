internal import CGSL

/// A least-squares fit of `y ≈ X c`.
package struct LinearFit: Sendable, Equatable {
  /// c, one for each column.
  package let coefficients: [Double]
  /// Their standard errors; zero if there are as many columns as rows.
  package let standardErrors: [Double]
  /// The sum of squared residuals.
  package let residualSumOfSquares: Double

  /// Fits by singular value decomposition (`gsl_multifit_linear`).
  ///
  /// - Parameters:
  ///   - rows: X, by rows, all of one length.
  ///   - observations: y, one for each row.
  /// - Throws: ``GSLError`` if there are fewer rows than columns, or GSL fails.
  ///
  /// *Source*: GSL manual, "Linear Least-Squares Fitting".
  package init(rows: [[Double]], observations: [Double]) throws(GSLError) {
    GSLRuntime.prepare()
    let n = rows.count
    let p = rows.first?.count ?? 0
    guard p > 0, n >= p, observations.count == n, rows.allSatisfy({ $0.count == p }) else {
      throw GSLError(
        code: Int(GSL_EINVAL), operation: "linear fit",
        reason: "\(n) rows of \(p) columns against \(observations.count) observations")
    }
    let design = gsl_matrix_alloc(n, p)
    let y = gsl_vector_alloc(n)
    let c = gsl_vector_alloc(p)
    let covariance = gsl_matrix_alloc(p, p)
    let workspace = gsl_multifit_linear_alloc(n, p)
    defer {
      gsl_matrix_free(design)
      gsl_vector_free(y)
      gsl_vector_free(c)
      gsl_matrix_free(covariance)
      gsl_multifit_linear_free(workspace)
    }
    for i in 0..<n {
      gsl_vector_set(y, i, observations[i])
      for j in 0..<p { gsl_matrix_set(design, i, j, rows[i][j]) }
    }
    var squares = 0.0
    try GSLRuntime.check(
      gsl_multifit_linear(design, y, c, covariance, &squares, workspace), "linear fit")
    coefficients = (0..<p).map { gsl_vector_get(c, $0) }
    standardErrors =
      n > p ? (0..<p).map { gsl_matrix_get(covariance, $0, $0).squareRoot() } : coefficients.map { _ in 0 }
    residualSumOfSquares = squares
  }
}
