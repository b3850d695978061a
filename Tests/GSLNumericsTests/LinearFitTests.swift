import GSLNumerics
import Testing
import _TestSupport

/// Fits that can be solved by hand, and input that is refused.
@Suite struct LinearFitTests {
  @Test func lineThroughThreePoints() throws {
    // y = 1, 2, 2 at x = 0, 1, 2: slope ½, intercept 7/6; residuals −1/6, 1/3, −1/6, squares 1/6.
    let fit = try LinearFit(rows: [[1, 0], [1, 1], [1, 2]], observations: [1, 2, 2])
    expectClose(fit.coefficients, [7.0 / 6, 0.5], relative: 1e-14)
    expectClose(fit.residualSumOfSquares, 1.0 / 6, ulps: 16)
    // σ² = (1/6)/1; Var slope = σ²/Σ(x − x̄)² = 1/12, Var intercept = σ²(1/3 + 1/2) = 5/36.
    expectClose(fit.standardErrors, [(5.0 / 36).squareRoot(), (1.0 / 12).squareRoot()], relative: 1e-13)
  }

  @Test func asManyColumnsAsRows() throws {
    let fit = try LinearFit(rows: [[1, 1], [1, 2]], observations: [3, 5])
    expectClose(fit.coefficients, [1, 2], relative: 1e-14)
    #expect(fit.standardErrors == [0, 0])
    #expect(fit.residualSumOfSquares < 1e-28)
  }

  @Test func mean() throws {
    let fit = try LinearFit(rows: [[1], [1], [1], [1]], observations: [1, 2, 3, 4])
    expectClose(fit.coefficients[0], 2.5, ulps: 4)
    expectClose(fit.standardErrors[0], (5.0 / 12).squareRoot(), ulps: 16)
  }

  @Test(.seeded) func recoversCoefficients() throws {
    var generator = TestSeed.generator("linear fit")
    let truth = [1.5, -2, 0.25, 4]
    let rows = (0..<12).map { _ in generator.normals(4) }
    let fit = try LinearFit(
      rows: rows, observations: rows.map { zip($0, truth).reduce(0) { $0 + $1.0 * $1.1 } })
    expectClose(fit.coefficients, truth, relative: 1e-13)
  }

  @Test func dependentColumns() throws {
    // The decomposition drops the direction that is not determined, and the fit stays finite.
    let fit = try LinearFit(rows: [[1, 2], [2, 4], [3, 6]], observations: [5, 10, 15])
    expectClose(fit.coefficients[0] + 2 * fit.coefficients[1], 5, within: 1e-12)
  }

  @Test func badArgumentsAreThrown() {
    let bad: [([[Double]], [Double])] = [
      ([], []), ([[]], [1]), ([[1, 2]], [1]), ([[1], [2]], [1]), ([[1, 2], [3]], [1, 2]),
    ]
    for (rows, observations) in bad {
      #expect(throws: GSLError.self) { try LinearFit(rows: rows, observations: observations) }
    }
    let error = #expect(throws: GSLError.self) { try LinearFit(rows: [[1, 2]], observations: [1]) }
    #expect(error?.description == "GSL: linear fit: 1 rows of 2 columns against 1 observations (status 4)")
  }
}
