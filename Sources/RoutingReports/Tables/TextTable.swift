import FileFormats

/// A table for people: aligned columns within a width, or Markdown.
///
/// The first column is text and wraps (after a comma, a space or a hyphen) if the others leave it too little room; so
/// does any column that says so. All other columns are as wide as their widest cell. Columns that do not fit beside the
/// others follow below them, the first column beside them once more.
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
  package static let width = 80

  /// Lines of aligned text, each with a line feed at its end.
  ///
  /// - Parameters:
  ///   - indentation: spaces before every line.
  ///   - style: colours, or none.
  package func text(indentation: Int = 0, style: TextStyle) -> String {
    var table = self
    for c in columns.indices { table.columns[c].title = style.characters(columns[c].title) }
    for r in rows.indices { table.rows[r].cells = rows[r].cells.map(style.characters) }
    return table.blocks(available: Self.width - indentation)
      .map { table.block($0, indentation: indentation, style: style) }.joined(separator: "\n")
  }

  /// Columns that stand side by side, block by block.
  private func blocks(available: Int) -> [[Int]] {
    let least = columns.indices.map { columns[$0].isText ? min(naturalWidth($0), Self.narrowest) : naturalWidth($0) }
    var blocks: [[Int]] = []
    var block: [Int] = []
    var used = 0
    for c in columns.indices {
      if block.count > 1, used + 2 + least[c] > available {
        blocks.append(block)
        (block, used) = ([0], least[0])
      }
      used += least[c] + (block.isEmpty ? 0 : 2)
      block.append(c)
    }
    return blocks + [block]
  }

  /// The width of a column in which nothing wraps.
  private func naturalWidth(_ c: Int) -> Int {
    let titles = columns[c].title.split(separator: "\n").map { String($0).terminalWidth }
    return (titles + rows.map { $0.cells[c].terminalWidth }).max() ?? 0
  }

  private func block(_ block: [Int], indentation: Int, style: TextStyle) -> String {
    let header = cells(block.map { columns[$0].title.split(separator: "\n").map(String.init) })
    let widths = widths(block, available: Self.width - indentation)
    func line(_ cells: [String], _ apply: (String) -> String) -> String {
      var text = String(repeating: " ", count: indentation)
      for (c, cell) in cells.enumerated() {
        let padding = String(repeating: " ", count: max(widths[c] - cell.terminalWidth, 0))
        text += (c > 0 ? "  " : "") + (columns[block[c]].isText ? cell + padding : padding + cell)
      }
      while text.last == " " { text.removeLast() }
      return apply(text) + "\n"
    }
    var text = header.map { line($0, style.strong) }.joined()
    for row in rows {
      let wrapped = block.enumerated().map { place, c in
        columns[c].isText ? Self.wrap(row.cells[c], width: widths[place]) : [row.cells[c]]
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
    var text = line(
      columns.map { $0.title.split(separator: "\n").joined(separator: " ").replacing(" (", with: "(").markdown })
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

  private func widths(_ block: [Int], available: Int) -> [Int] {
    var widths = block.map(naturalWidth)
    // Text columns give way, the widest first, until the line fits or none is wide.
    var excess = widths.reduce(0, +) + 2 * (widths.count - 1) - available
    while excess > 0,
      let widest = block.indices.filter({ columns[block[$0]].isText }).max(by: { widths[$0] < widths[$1] }),
      widths[widest] > Self.narrowest
    {
      widths[widest] -= 1
      excess -= 1
    }
    return widths
  }

  /// Text columns are not made narrower than this.
  private static let narrowest = 16

  /// The text in lines of at most `width` columns, broken after a comma, a space or a hyphen if there is one; what
  /// follows the first line is set in by two.
  package static func wrap(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var rest = Substring(text)
    while String(rest).terminalWidth > width - (lines.isEmpty ? 0 : 2) {
      let room = width - (lines.isEmpty ? 0 : 2)
      var (end, used) = (rest.startIndex, 0)
      while end < rest.endIndex {
        let next = String(rest[end]).terminalWidth
        guard used + next <= max(room, 1) || end == rest.startIndex else { break }
        used += next
        end = rest.index(after: end)
      }
      let head = rest[..<end]
      let breaks = [" ", ",", "-", ":"].lazy.compactMap { sign in head.lastIndex { String($0) == sign } }
      // A space, wherever it is; other places only where they leave no line nearly empty.
      if let space = breaks.first(where: { head[$0] == " " || head.distance(from: head.startIndex, to: $0) > room / 3 })
      {
        end = head.index(after: space)
      }
      var line = (lines.isEmpty ? "" : "  ") + rest[..<end]
      while line.last == " " { line.removeLast() }
      lines.append(line)
      rest = rest[end...].drop { $0 == " " }
    }
    lines.append((lines.isEmpty ? "" : "  ") + rest)
    return lines
  }
}

/// How text for people is set.
public struct TextStyle: Sendable, Equatable {
  /// Whether there are ANSI escape sequences: bold titles, pale asides.
  public var isColoured: Bool
  /// Whether only ASCII may be used: mathematical signs are spelt then.
  public var isASCII: Bool

  /// No escape sequences, all characters, unless told otherwise.
  public init(isColoured: Bool = false, isASCII: Bool = false) {
    self.isColoured = isColoured
    self.isASCII = isASCII
  }

  /// No escape sequences.
  public static let plain = TextStyle()
  /// ANSI escape sequences.
  public static let coloured = TextStyle(isColoured: true)

  package func strong(_ text: String) -> String { apply("1", text) }
  package func pale(_ text: String) -> String { apply("2", text) }
  /// The text in characters that may be used.
  package func characters(_ text: String) -> String { isASCII ? text.inASCII : text }

  private func apply(_ code: String, _ text: String) -> String {
    isColoured ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
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
