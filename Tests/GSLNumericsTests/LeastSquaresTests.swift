import GSLNumerics
import Testing

struct LeastSquaresTests {
  @Test func exactSystem() throws {
    let fit = try LeastSquares(rows: [[1, 0], [1, 1], [1, 2]])
    let c = fit.coefficients(for: [3, 2.5, 2])
    #expect((c[0] - 3).magnitude < 1e-14 && (c[1] + 0.5).magnitude < 1e-14)
    #expect(fit.rank == 2 && fit.columns == 2)
  }

  /// Two equal columns: the shortest coefficients share the weight.
  @Test func dependentColumns() throws {
    let fit = try LeastSquares(rows: [[1, 1], [2, 2], [3, 3]])
    let c = fit.coefficients(for: [2, 4, 6])
    #expect(fit.rank == 1)
    #expect((c[0] - 1).magnitude < 1e-14 && (c[1] - 1).magnitude < 1e-14)
  }

  @Test func refusals() {
    #expect(throws: GSLError.self) { try LeastSquares(rows: [[1, 2]]) }
    #expect(throws: GSLError.self) { try LeastSquares(rows: []) }
    #expect(throws: GSLError.self) { try LeastSquares(rows: [[1], [2, 3]]) }
    #expect(throws: GSLError.self) { try LeastSquares(rows: [[1], [.nan]]) }
  }
}
