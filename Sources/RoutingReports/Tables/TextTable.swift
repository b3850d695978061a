/// A table for people: aligned columns within a width, or Markdown.
///
/// The first column is text and wraps (after a comma or a space) if the others leave it too little room; so
/// does any column that says so. All other columns are as wide as their widest cell.
package struct TextTable {
  /// A column.
  package struct Column {
    /// Its title; a line feed divides it into lines.
    var title: String
    /// Whether cells stand at the left and may wrap; else they stand at the right.
    var isText = false

    package init(title: String, isText: Bool = false) {
      self.title = title
      self.isText = isText
    }
  }

  /// A row.
  package struct Row {
    /// One cell for each column.
    var cells: [String]
    /// Whether it only adds to the row above, and is printed paler.
    var isSecondary = false

    package init(cells: [String], isSecondary: Bool = false) {
      self.cells = cells
      self.isSecondary = isSecondary
    }
  }

  /// The columns, from the left.
  package var columns: [Column]
  /// The rows, from the top.
  package var rows: [Row] = []

  package init(columns: [Column], rows: [Row] = []) {
    self.columns = columns
    self.rows = rows
  }

  /// The widest line that tables for people have.
  package static let width = 100

  /// Lines of aligned text, each with a line feed at its end.
  ///
  /// - Parameters:
  ///   - indentation: spaces before every line.
  ///   - style: colours, or none.
  package func text(indentation: Int = 0, style: TextStyle) -> String {
    let header = cells(columns.map { $0.title.split(separator: "\n").map(String.init) })
    let widths = widths(available: Self.width - indentation)
    func line(_ cells: [String], _ apply: (String) -> String) -> String {
      var text = String(repeating: " ", count: indentation)
      for (c, cell) in cells.enumerated() {
        let padding = String(repeating: " ", count: max(widths[c] - cell.count, 0))
        text += (c > 0 ? "  " : "") + (columns[c].isText ? cell + padding : padding + cell)
      }
      while text.last == " " { text.removeLast() }
      return apply(text) + "\n"
    }
    var text = header.map { line($0, style.strong) }.joined()
    for row in rows {
      let wrapped = row.cells.enumerated().map { c, cell in
        columns[c].isText ? Self.wrap(cell, width: widths[c]) : [cell]
      }
      for cells in self.cells(wrapped, fromTop: true) {
        text += line(cells, row.isSecondary ? style.pale : { $0 })
      }
    }
    return text
  }

  /// A GitHub table.
  package var markdown: String {
    func line(_ cells: [String]) -> String { "| \(cells.joined(separator: " | ")) |\n" }
    var text = line(columns.map { $0.title.split(separator: "\n").joined(separator: " ").markdown })
    text += line(columns.map { $0.isText ? ":--" : "--:" })
    for row in rows { text += line(row.cells.map(\.markdown)) }
    return text
  }

  /// Cells of several lines each as rows of one line; shorter cells are filled up at the top, or at the
  /// bottom.
  private func cells(_ stacks: [[String]], fromTop: Bool = false) -> [[String]] {
    let height = stacks.map(\.count).max() ?? 0
    return (0..<height).map { line in
      stacks.map { stack in
        let k = fromTop ? line : line - (height - stack.count)
        return stack.indices.contains(k) ? stack[k] : ""
      }
    }
  }

  private func widths(available: Int) -> [Int] {
    var widths = columns.indices.map { c in
      let titles = columns[c].title.split(separator: "\n").map(\.count)
      return (titles + rows.map { $0.cells[c].count }).max() ?? 0
    }
    // Text columns give way, the widest first, until the line fits or none is wide.
    var excess = widths.reduce(0, +) + 2 * (widths.count - 1) - available
    while excess > 0,
      let widest = columns.indices.filter({ columns[$0].isText }).max(by: { widths[$0] < widths[$1] }),
      widths[widest] > Self.narrowest
    {
      widths[widest] -= 1
      excess -= 1
    }
    return widths
  }

  /// Text columns are not made narrower than this.
  private static let narrowest = 16

  /// The text in lines of at most `width` characters, broken after a comma or a space if there is one; what
  /// follows the first line is set in by two.
  package static func wrap(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var rest = Substring(text)
    while rest.count > width - (lines.isEmpty ? 0 : 2) {
      let room = width - (lines.isEmpty ? 0 : 2)
      let head = rest.prefix(room)
      let end = head.lastIndex { $0 == "," || $0 == " " }.map { head.index(after: $0) } ?? head.endIndex
      var line = (lines.isEmpty ? "" : "  ") + rest[..<end]
      while line.last == " " { line.removeLast() }
      lines.append(line)
      rest = rest[end...].drop { $0 == " " }
    }
    lines.append((lines.isEmpty ? "" : "  ") + rest)
    return lines
  }
}

/// Whether text for people is coloured.
public enum TextStyle: Sendable {
  /// No escape sequences.
  case plain
  /// ANSI escape sequences: bold titles, pale asides.
  case coloured

  package func strong(_ text: String) -> String { apply("1", text) }
  package func pale(_ text: String) -> String { apply("2", text) }

  private func apply(_ code: String, _ text: String) -> String {
    self == .plain ? text : "\u{1B}[\(code)m\(text)\u{1B}[0m"
  }
}

extension String {
  /// The text with what Markdown would take for markup escaped, on one line.
  package var markdown: String {
    var text = ""
    for character in onOneLine {
      if "\\`*_<>[]|#~".contains(character) { text += "\\" }
      text.append(character)
    }
    return text
  }
}
