import FileFormats

/// Comma-separated values as RFC 4180 has them, but with a line feed alone at the end of each line.
package struct CSV {
  /// The names of the columns; nil for rows that follow others.
  package let header: [String]?
  /// The rows; nil is an empty cell.
  package let rows: [[String?]]

  package init(header: [String]?, rows: [[String?]]) {
    self.header = header
    self.rows = rows
  }

  /// Header and rows.
  package var text: String {
    ((header.map { [$0] } ?? []) + rows).map { $0.map { Self.quoted($0 ?? "") }.joined(separator: ",") + "\n" }.joined()
  }

  /// A number that reads back to the same Float64; nil and what is not finite give an empty cell.
  package static func number(_ x: Double?) -> String? { x.flatMap { $0.isFinite ? JSONWriter.number($0) : nil } }

  private static func quoted(_ cell: String) -> String {
    guard cell.unicodeScalars.contains(where: { "\",\r\n".unicodeScalars.contains($0) }) else { return cell }
    var text = "\""
    for scalar in cell.unicodeScalars {
      if scalar == "\"" { text += "\"" }
      text.unicodeScalars.append(scalar)
    }
    return text + "\""
  }
}
