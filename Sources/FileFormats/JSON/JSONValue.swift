// JSON is read and written here and not by Foundation, which was tried first (Swift 6.3.1, Linux). What files
// must be refused for, and with which words, is a contract; Foundation's JSONDecoder
//  - says "not valid JSON", without field or line, to NaN, 1e999, a truncated file and `"label": 1.5`;
//  - lets pass trailing commas, UTF-16 and repeated keys (the first wins), and cannot be made to refuse them;
//  - never looks at the numbers of fields that are not decoded;
// and JSONEncoder writes fields in the order of the alphabet or of a hash table, not in that of the contract.

/// A JSON text as a tree, its objects in the order in which they were written.
package enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A finite number.
  case number(Double)
  case string(String)
  /// A list of finite numbers, kept compact; an empty list is ``array(_:)``.
  case numbers([Double])
  case array([JSONValue])
  case object([Member])

  /// A field of an object.
  package struct Member: Sendable, Equatable {
    package var key: String
    package var value: JSONValue

    /// A field.
    package init(key: String, value: JSONValue) {
      self.key = key
      self.value = value
    }
  }
}

// MARK: - Construction

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByDictionaryLiteral {
  package init(stringLiteral value: String) { self = .string(value) }

  /// Keeps the order of the literal.
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { Member(key: $0.0, value: $0.1) })
  }

  /// A number, or null.
  package init(_ number: Double?) { self = number.map { .number($0) } ?? .null }

  /// A whole number, or null.
  package init(_ number: Int?) { self = number.map { .number(Double($0)) } ?? .null }

  /// A list of numbers, or null.
  package init(_ numbers: [Double]?) { self = numbers.map { $0.isEmpty ? .array([]) : .numbers($0) } ?? .null }

  /// A list of whole numbers.
  package init(_ numbers: [Int]) { self.init(numbers.map(Double.init)) }

  /// A text, or null.
  package init(_ text: String?) { self = text.map { .string($0) } ?? .null }
}

// MARK: - Messages

extension JSONValue {
  /// What it is, for messages: `a string`, `null`.
  package var kind: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number: "a number"
    case .string: "a string"
    case .numbers, .array: "a list"
    case .object: "an object"
    }
  }
}
