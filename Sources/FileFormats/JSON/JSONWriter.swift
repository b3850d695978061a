/// Writes JSON: finite numbers read back to the same Float64, others are null, fields stay in their order, text is UTF-8.
package struct JSONWriter {
  private var text = ""
  private let isIndented: Bool

  /// `value` over several lines: one for each field, lists of numbers on one; with a line feed at the end.
  package static func indented(_ value: JSONValue) -> String {
    var writer = JSONWriter(isIndented: true)
    writer.write(value, indentation: 0)
    return writer.text + "\n"
  }

  /// `value` over several lines as it stands within a text, so many levels deep; without a line feed at the end.
  package static func indented(_ value: JSONValue, depth: Int) -> String {
    var writer = JSONWriter(isIndented: true)
    writer.write(value, indentation: depth)
    return writer.text
  }

  /// `value` on one line, without a line feed.
  package static func line(_ value: JSONValue) -> String {
    var writer = JSONWriter(isIndented: false)
    writer.write(value, indentation: 0)
    return writer.text
  }

  private init(isIndented: Bool) { self.isIndented = isIndented }

  private mutating func write(_ value: JSONValue, indentation: Int) {
    switch value {
    case .null: text += "null"
    case .bool(let flag): text += flag ? "true" : "false"
    case .number(let number): text += Self.number(number)
    case .string(let string): write(string)
    case .numbers(let numbers): text += "[\(numbers.map(Self.number).joined(separator: ", "))]"
    case .array(let values):
      let isTall = values.contains { if case .object = $0 { true } else { false } }
      write("[", "]", count: values.count, isTall: isTall, indentation: indentation) { writer, k in
        writer.write(values[k], indentation: indentation + 1)
      }
    case .object(let members):
      write("{", "}", count: members.count, isTall: true, indentation: indentation) { writer, k in
        writer.write(members[k].key)
        writer.text += ": "
        writer.write(members[k].value, indentation: indentation + 1)
      }
    }
  }

  private mutating func write(
    _ opening: String, _ closing: String, count: Int, isTall: Bool, indentation: Int,
    item: (inout JSONWriter, Int) -> Void
  ) {
    let breaksLines = isIndented && isTall && count > 0
    text += opening
    for k in 0..<count {
      if k > 0 { text += breaksLines ? "," : ", " }
      if breaksLines { text += "\n" + String(repeating: " ", count: indentation + 1) }
      item(&self, k)
    }
    if breaksLines { text += "\n" + String(repeating: " ", count: indentation) }
    text += closing
  }

  private mutating func write(_ string: String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\0"..<" ", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }

  /// The shortest decimal that reads back to the same number; whole numbers up to 2⁵³ without a point.
  ///
  /// *Edge cases*: JSON has no infinities and no NaN: `null`, which stands for what is not defined.
  package static func number(_ number: Double) -> String {
    guard number.isFinite else { return "null" }
    let isWhole =
      number == number.rounded() && number.magnitude <= 0x1p53 && !(number == 0 && number.sign == .minus)
    return isWhole ? "\(Int(number))" : "\(number)"
  }
}
