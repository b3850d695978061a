import RoutingCore

/// The fields of a JSON object, read strictly: what is missing, of another type, or not declared is refused
/// with its path.
///
/// *Edge cases*: `null` stands for nothing; a field that may be left out is left out, not null.
package struct JSONFields {
  private let members: [String: JSONValue]
  /// What the object is, for messages: `a mixture problem`.
  private let owner: String

  /// The fields of `value`.
  ///
  /// - Parameters:
  ///   - value: what should be an object.
  ///   - owner: what the object is.
  ///   - fields: every field that it may have; nil if that is known only later (see ``requireOnly(_:)``).
  /// - Throws: `InvalidInput` if it is no object or has other fields.
  package init(_ value: JSONValue, of owner: String, only fields: [String]? = nil) throws(InvalidInput) {
    guard case .object(let members) = value else {
      throw InvalidInput("", "expected \(owner) (an object), got \(value.kind)")
    }
    self.members = Dictionary(members.map { ($0.key, $0.value) }) { first, _ in first }
    self.owner = owner
    if let fields { try requireOnly(fields) }
  }

  /// Throws if there is a field that is not one of `fields`; of several the first by name.
  package func requireOnly(_ fields: [String]) throws(InvalidInput) {
    if let unknown = members.keys.filter({ !fields.contains($0) }).min() {
      throw InvalidInput(
        unknown.clipped(to: 40), "expected no such field; \(owner) has \(fields.joined(separator: ", "))")
    }
  }

  /// The names of the fields, sorted.
  package var names: [String] { members.keys.sorted() }

  /// Whether there is a field of this name.
  package func has(_ key: String) -> Bool { members[key] != nil }

  /// The field's value.
  package func value(_ key: String, _ expected: String) throws(InvalidInput) -> JSONValue {
    guard let value = members[key] else {
      throw InvalidInput(key, "expected \(expected), the field is missing")
    }
    return value
  }

  /// A text; which one, `expected` says.
  package func string(_ key: String, _ expected: String = "a string") throws(InvalidInput) -> String {
    let value = try value(key, expected)
    guard case .string(let text) = value else { throw mismatch(key, expected, value) }
    return text
  }

  /// The name of a file.
  package func fileName(_ key: String) throws(InvalidInput) -> String {
    let name = try string(key, "the name of a file")
    guard !name.isEmpty, !name.unicodeScalars.contains("\0") else {
      throw InvalidInput(key, "expected the name of a file, got one that is empty or has a NUL in it")
    }
    return name
  }

  /// One of a few words.
  package func word(_ key: String, among words: [String]) throws(InvalidInput) -> String {
    let quoted = words.map { "\"\($0)\"" }
    let expected =
      words.count > 2 ? "one of \(quoted.joined(separator: ", "))" : quoted.joined(separator: " or ")
    let text = try string(key, expected)
    guard words.contains(text) else {
      throw InvalidInput(key, "expected \(expected), got \"\(text.clipped(to: 40))\"")
    }
    return text
  }

  /// A number.
  package func number(_ key: String) throws(InvalidInput) -> Double {
    let value = try value(key, "a number")
    guard case .number(let number) = value else { throw mismatch(key, "a number", value) }
    return number
  }

  /// A whole number; `3.0` is one.
  package func integer(_ key: String) throws(InvalidInput) -> Int {
    let number = try number(key)
    guard let integer = Int(exactly: number) else {
      throw InvalidInput(key, "expected a whole number, got \(number)")
    }
    return integer
  }

  /// A number within a limit.
  package func number(_ key: String, _ limit: Limit<Double>) throws(InvalidInput) -> Double {
    let number = try number(key)
    try limit.require(key, number)
    return number
  }

  /// A whole number within a limit.
  package func integer(_ key: String, _ limit: Limit<Int>) throws(InvalidInput) -> Int {
    let integer = try integer(key)
    try limit.require(key, integer)
    return integer
  }

  /// A number, or null.
  package func optionalNumber(_ key: String) throws(InvalidInput) -> Double? {
    try value(key, "a number or null") == .null ? nil : number(key)
  }

  /// A whole number, or null.
  package func optionalInteger(_ key: String) throws(InvalidInput) -> Int? {
    try value(key, "a whole number or null") == .null ? nil : integer(key)
  }

  /// An object.
  package func object(
    _ key: String, of owner: String, only fields: [String]? = nil
  ) throws(InvalidInput) -> JSONFields {
    let value = try value(key, "\(owner) (an object)")
    do throws(InvalidInput) {
      return try JSONFields(value, of: owner, only: fields)
    } catch {
      throw error.inside(key)
    }
  }

  /// A list of numbers.
  package func numbers(_ key: String) throws(InvalidInput) -> [Double] {
    try Self.numbers(try value(key, "a list of numbers"), key)
  }

  /// A list of lists of numbers.
  package func rows(_ key: String) throws(InvalidInput) -> [[Double]] {
    let expected = "a list of lists of numbers"
    let value = try value(key, expected)
    switch value {
    case .array(let values):
      var rows: [[Double]] = []
      for (i, value) in values.enumerated() { rows.append(try Self.numbers(value, "\(key)[\(i)]")) }
      return rows
    case .numbers: throw InvalidInput("\(key)[0]", "expected a list of numbers, got a number")
    default: throw mismatch(key, expected, value)
    }
  }

  private static func numbers(_ value: JSONValue, _ path: String) throws(InvalidInput) -> [Double] {
    switch value {
    case .numbers(let numbers): return numbers
    case .array(let values):
      for (i, value) in values.enumerated() {
        guard case .number = value else {
          throw InvalidInput("\(path)[\(i)]", "expected a number, got \(value.kind)")
        }
      }
      return []
    default: throw InvalidInput(path, "expected a list of numbers, got \(value.kind)")
    }
  }

  private func mismatch(_ key: String, _ expected: String, _ value: JSONValue) -> InvalidInput {
    InvalidInput(key, "expected \(expected), got \(value.kind)")
  }
}

extension InvalidInput {
  /// The same complaint about the item with an index of a list.
  package func inside(_ list: String, at index: Int) -> InvalidInput { inside("\(list)[\(index)]") }
}
