import RoutingCore

// Fields of formats in which null stands for left out.

extension JSONFields {
  /// Whether there is a field of this name that is not null.
  package func isGiven(_ key: String) throws(InvalidInput) -> Bool { has(key) ? try value(key, "") != .null : false }

  /// What `read` makes of a field; nil if it is left out.
  package func given<Value>(
    _ key: String, _ read: (JSONFields, String) throws(InvalidInput) -> Value
  ) throws(InvalidInput) -> Value? {
    try isGiven(key) ? try read(self, key) : nil
  }

  /// A number, or what stands for one that is left out.
  package func number(_ key: String, else standard: Double) throws(InvalidInput) -> Double {
    try isGiven(key) ? try number(key) : standard
  }

  /// Whether something holds; false if it is left out.
  package func flag(_ key: String) throws(InvalidInput) -> Bool {
    guard try isGiven(key) else { return false }
    let value = try value(key, "true or false")
    guard case .bool(let flag) = value else { throw InvalidInput(key, "expected true or false, got \(value.kind)") }
    return flag
  }

  /// One of the words of an enumeration.
  package func word<Word: RawRepresentable & CaseIterable>(
    _ key: String, as type: Word.Type = Word.self
  ) throws(InvalidInput) -> Word where Word.RawValue == String {
    let text = try word(key, among: Word.allCases.map(\.rawValue))
    guard let word = Word(rawValue: text) else { throw InvalidInput(key, "expected another word, got \"\(text)\"") }
    return word
  }

  /// One of the words of an enumeration, or what stands for one that is left out.
  package func word<Word: RawRepresentable & CaseIterable>(
    _ key: String, else standard: Word
  ) throws(InvalidInput) -> Word where Word.RawValue == String {
    try isGiven(key) ? try word(key) : standard
  }

  /// What `read` makes of the value of a field; what is wrong with it is named as a part of the field.
  package func part<Part>(
    _ key: String, _ expected: String, _ read: (JSONValue) throws(InvalidInput) -> Part
  ) throws(InvalidInput) -> Part {
    let value = try value(key, expected)
    do throws(InvalidInput) {
      return try read(value)
    } catch {
      throw error.inside(key)
    }
  }

  /// What `read` makes of each item of a list.
  package func list<Item>(
    _ key: String, _ expected: String, _ read: (JSONValue) throws(InvalidInput) -> Item
  ) throws(InvalidInput) -> [Item] {
    let value = try value(key, expected)
    let values: [JSONValue]
    switch value {
    case .array(let items): values = items
    case .numbers(let numbers): values = numbers.map { .number($0) }
    default: throw InvalidInput(key, "expected \(expected), got \(value.kind)")
    }
    var items: [Item] = []
    for (k, value) in values.enumerated() {
      do throws(InvalidInput) {
        items.append(try read(value))
      } catch {
        throw error.inside(key, at: k)
      }
    }
    return items
  }
}
