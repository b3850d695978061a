import FileFormats

/// A part of a report for people: a title, a table, and notes below it.
package struct TextSection {
  /// What it is about.
  package var title: String?
  /// What is said after the title.
  package var facts: String?
  /// The table.
  package var table: TextTable?
  /// Paragraphs below the table.
  package var notes: [String] = []

  package init(title: String? = nil, facts: String? = nil, table: TextTable? = nil, notes: [String] = []) {
    self.title = title
    self.facts = facts
    self.table = table
    self.notes = notes
  }

  /// Text within the width of tables, with a line feed at the end.
  package func text(style: TextStyle) -> String {
    var text = ""
    if let title {
      let title = style.characters(title.onOneLine)
      let facts = facts.map { style.characters($0.onOneLine) }
      let room = TextTable.width - (facts.map { $0.terminalWidth + 2 } ?? 0)
      // Beside the title if that leaves it room to be read, else below it.
      if room >= min(title.terminalWidth, 32) {
        text +=
          style.strong(title.fitted(to: room, ellipsis: style.characters("…"))) + (facts.map { "  \($0)" } ?? "") + "\n"
      } else {
        text += style.strong(title.fitted(to: TextTable.width, ellipsis: style.characters("…"))) + "\n"
        for line in TextTable.wrap(facts ?? "", width: TextTable.width - 2) { text += "  \(line)\n" }
      }
    }
    if let table { text += table.text(indentation: title == nil ? 0 : 2, style: style) }
    for note in notes {
      let indentation = String(repeating: " ", count: title == nil ? 0 : 2)
      for line in TextTable.wrap(style.characters(note.onOneLine), width: TextTable.width - 2) {
        text += style.pale(indentation + line) + "\n"
      }
    }
    return text
  }

  /// Markdown, with a line feed at the end.
  package var markdown: String {
    var parts: [String] = []
    if let title { parts.append("### \(title.markdown)\n") }
    if let facts { parts.append("\(facts.markdown)\n") }
    if let table { parts.append(table.markdown) }
    parts += notes.map { "\($0.markdown)\n" }
    return parts.joined(separator: "\n")
  }
}

extension TextSection {
  /// A note for each reason for which estimators are unavailable.
  package static func unavailable(_ entries: [(estimator: String, reason: String)]) -> [String] {
    var reasons: [String] = []
    for entry in entries where !reasons.contains(entry.reason) { reasons.append(entry.reason) }
    return reasons.map { reason in
      let estimators = entries.filter { $0.reason == reason }.map(\.estimator)
      return "Not available: \(estimators.joined(separator: ", ")) (\(reason))."
    }
  }
}
