import RoutingCore

/// Why a text is not JSON, and where.
package struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The path of the value that is wrong, `problems[3].logits[1]`; empty for the whole text.
  package var path: String
  /// What was expected, and what was found.
  package var expectation: String
  /// The place in the text, counted from 1; columns are bytes.
  package var line: Int
  package var column: Int

  /// As a complaint about a file.
  package var inFile: InvalidInput { complaint("(line \(line), column \(column))") }

  /// As a complaint about a text of one line.
  package var inLine: InvalidInput { complaint("(column \(column))") }

  private func complaint(_ place: String) -> InvalidInput {
    InvalidInput(path.onOneLine, "\(expectation) \(place)".onOneLine)
  }

  /// One line.
  package var description: String { inFile.description }
}
