import RoutingCore
import Testing

@Suite struct MatrixTests {
  @Test func entriesAreRowMajor() {
    var matrix = Matrix(rows: [[1, 2, 3], [4, 5, 6]], columns: 3)
    #expect(matrix.elements == [1, 2, 3, 4, 5, 6])
    #expect(matrix[1, 0] == 4 && matrix[0, 2] == 3)
    #expect(Array(matrix.row(1)) == [4, 5, 6])
    matrix[1, 2] = 7
    #expect(matrix.asRows == [[1, 2, 3], [4, 5, 7]])
    #expect(matrix != Matrix(rows: 2, columns: 3))
    #expect(Matrix(rows: 2, columns: 3).elements == [0, 0, 0, 0, 0, 0])
  }

  @Test func noColumns() {
    #expect(Matrix(rows: [[], []], columns: 0).asRows == [[], []])
  }

  @Test func sizesMustAgree() async {
    await #expect(processExitsWith: .failure) { _ = Matrix(rows: 2, columns: 2, elements: [1, 2, 3]) }
    await #expect(processExitsWith: .failure) { _ = Matrix(rows: [[1, 2], [3]], columns: 2) }
  }
}
