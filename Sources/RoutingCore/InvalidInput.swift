/// Input that cannot be a problem: which field it is, and what was expected there.
///
/// `path` is the field's path in the problem as formats write it, for example `loss.scales[1]`; what reads files puts
/// the file's name and the problem's place in front of it.
public struct InvalidInput: Error, Sendable, Equatable, CustomStringConvertible {
  /// The field, empty where the problem as a whole is meant.
  public var path: String
  /// What was expected there, and what was found.
  public var expectation: String

  /// Describes what was wrong with the field at `path`.
  public init(_ path: String, _ expectation: String) {
    self.path = path
    self.expectation = expectation
  }

  /// One line: path and expectation.
  public var description: String { path.isEmpty ? expectation : "\(path): \(expectation)" }

  /// The same complaint about a field inside `container`.
  package func inside(_ container: String) -> InvalidInput {
    InvalidInput(path.isEmpty ? container : "\(container).\(path)", expectation)
  }
}

/// Throws unless `values` has `count` entries, all of them finite.
func requireFinite(_ values: [Double], count: Int? = nil, _ path: String) throws(InvalidInput) {
  if let count, values.count != count {
    throw InvalidInput(path, "expected \(count) numbers, got \(values.count)")
  }
  for (i, value) in values.enumerated() where !value.isFinite {
    throw InvalidInput("\(path)[\(i)]", "expected a finite number, got \(value)")
  }
}

/// Throws unless `rows` are `count` rows of `width` finite entries each.
func requireFinite(rows: [[Double]], count: Int, width: Int, _ path: String) throws(InvalidInput) {
  guard rows.count == count else {
    throw InvalidInput(path, "expected \(count) rows, got \(rows.count)")
  }
  for (i, row) in rows.enumerated() { try requireFinite(row, count: width, "\(path)[\(i)]") }
}
