import RoutingCore

/// A table of numbers whose cells are shaded by them: layers by estimators, say.
///
/// Every cell has its number in it, so that nothing is said by the shade alone. Shades go from the lowest number to the highest, in
/// equal steps; 0 is always among them.
///
/// *Edge cases*: nil and what is not finite is a dash, without a shade; numbers that are all the same have the palest shade.
package struct HeatMap: Sendable {
  /// What its numbers are.
  package var title: String
  /// What its rows are.
  package var corner: String
  /// The rows' names, from the top.
  package var rows: [String]
  /// The columns' names, from the left.
  package var columns: [String]
  /// The numbers, `[rows][columns]`; nil where there is none.
  package var values: [[Double?]]

  /// - Precondition: a row of `values` for each of `rows`, with a number for each of `columns`.
  package init(title: String, corner: String, rows: [String], columns: [String], values: [[Double?]]) {
    precondition(
      values.count == rows.count && values.allSatisfy { $0.count == columns.count },
      "\(values.count) rows of numbers for \(rows.count) names")
    self.title = title
    self.corner = corner
    self.rows = rows
    self.columns = columns
    self.values = values
  }

  /// The number of shades.
  static let shades = 8

  /// Whether there is nothing to compare.
  var isEmpty: Bool { rows.count * columns.count < 2 || finite.isEmpty }

  private var finite: [Double] { values.flatMap { $0 }.compactMap { $0 }.filter(\.isFinite) }

  /// What the palest and the darkest shade stand for.
  var range: ClosedRange<Double> {
    let (low, high) = (finite.min() ?? 0, finite.max() ?? 0)
    return min(low, 0)...max(high, 0)
  }

  /// The shade of a number, from 0 to ``shades`` − 1; nil for none.
  func shade(_ value: Double?) -> Int? {
    guard let value, value.isFinite else { return nil }
    let range = range
    // Halves, so that a difference of the two does not overflow.
    let span = 0.5 * range.upperBound - 0.5 * range.lowerBound
    guard span > 0 else { return 0 }
    return min(Int((0.5 * value - 0.5 * range.lowerBound) / span * Double(Self.shades)), Self.shades - 1)
  }

  /// What stands in a cell.
  static func figure(_ value: Double?) -> String {
    guard let value, value.isFinite else { return Figures.undefined }
    return Figures.ratio(value)
  }

  /// The numbers as a table.
  var table: TextTable {
    TextTable(
      columns: [.init(title: corner, isText: true)] + columns.map { .init(title: $0) },
      rows: zip(rows, values).map { .init(cells: [$0] + $1.map(Self.figure)) })
  }
}
