/// A dense matrix of Float64, row-major.
public struct Matrix: Sendable, Equatable {
  /// The number of rows.
  public let rows: Int
  /// The number of columns.
  public let columns: Int
  /// The entries, row by row.
  public var elements: [Double]

  /// A matrix of zeros, or of the `elements` given.
  public init(rows: Int, columns: Int, elements: [Double]? = nil) {
    let elements = elements ?? [Double](repeating: 0, count: rows * columns)
    precondition(elements.count == rows * columns, "\(elements.count) entries are not \(rows)×\(columns)")
    self.rows = rows
    self.columns = columns
    self.elements = elements
  }

  /// A matrix from its rows, all of `columns` entries.
  public init(rows: [[Double]], columns: Int) {
    self.init(rows: rows.count, columns: columns, elements: rows.flatMap { $0 })
  }

  /// The entry in row `i` and column `j`.
  public subscript(i: Int, j: Int) -> Double {
    get { elements[i * columns + j] }
    set { elements[i * columns + j] = newValue }
  }

  /// Row `i`.
  public func row(_ i: Int) -> ArraySlice<Double> { elements[i * columns..<(i + 1) * columns] }

  /// The rows as arrays.
  package var asRows: [[Double]] { (0..<rows).map { Array(row($0)) } }
}
