/// A strict reader of JSON (RFC 8259) that knows the path of whatever it refuses.
///
/// Stricter than the standard asks for in two ways: a repeated key is refused, and so is a number that
/// Float64 cannot hold (one too small for it is 0). More lenient in one: a byte order mark is skipped.
///
/// - Complexity: O(bytes).
package struct JSONParser {
  /// The deepest nesting read; formats need six levels. The reader recurses, so there must be a limit.
  package static let deepestNesting = 16

  var bytes: [UInt8]
  /// What was dropped before `bytes`: lines, and bytes of the line that they begin in.
  var dropped = (lines: 0, column: 0)
  var position = 0
  var depth = 0

  /// The value of a text.
  ///
  /// - Throws: ``JSONError`` for the first thing that is wrong.
  package static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
    var parser = JSONParser(bytes: bytes)
    do {
      return try parser.document()
    } catch {
      throw parser.located(error)
    }
  }

  init(bytes: [UInt8]) { self.bytes = bytes }

  /// A complaint on its way up to the root, collecting the path from its end.
  struct Complaint: Error {
    var steps: [Step] = []
    var expectation: String
    var offset: Int

    enum Step {
      case key(String)
      case index(Int)
    }

    func inside(_ step: Step) -> Complaint {
      var complaint = self
      complaint.steps.append(step)
      return complaint
    }
  }

  func located(_ complaint: Complaint) -> JSONError {
    var path = ""
    for step in complaint.steps.reversed() {
      switch step {
      case .key(let key): path += (path.isEmpty ? "" : ".") + key.clipped(to: 40)
      case .index(let index): path += "[\(index)]"
      }
    }
    let before = bytes[..<complaint.offset]
    let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let lines = before.count { $0 == UInt8(ascii: "\n") }
    return JSONError(
      path: path.clipped(to: 120), expectation: complaint.expectation, line: 1 + dropped.lines + lines,
      column: complaint.offset - lineStart + 1 + (lines == 0 ? dropped.column : 0))
  }
}

// MARK: - Grammar

extension JSONParser {
  private mutating func document() throws(Complaint) -> JSONValue {
    try requireUTF8(bytes.indices)
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    skipSpace()
    if position == bytes.count {
      throw Complaint(expectation: "expected a JSON object, got an empty text", offset: position)
    }
    let value = try value()
    skipSpace()
    if position < bytes.count { throw unexpected("the end of the text") }
    return value
  }

  func requireUTF8(_ range: Range<Int>) throws(Complaint) {
    do {
      _ = try UTF8Span(validating: bytes.span.extracting(range))
    } catch {
      let offset = range.lowerBound + error.byteOffsets.lowerBound
      let byte = String(bytes[offset], radix: 16, uppercase: true)
      throw Complaint(expectation: "expected UTF-8, got the byte 0x\(byte)", offset: offset)
    }
  }

  mutating func value() throws(Complaint) -> JSONValue {
    switch peek {
    case UInt8(ascii: "{"): return try nested { (parser) throws(Complaint) in try parser.object() }
    case UInt8(ascii: "["): return try nested { (parser) throws(Complaint) in try parser.list() }
    case UInt8(ascii: "\""): return .string(try string())
    case _ where isDigit(at: position): return .number(try number())
    case UInt8(ascii: "-") where isDigit(at: position + 1): return .number(try number())
    case UInt8(ascii: "t") where skip("true"): return .bool(true)
    case UInt8(ascii: "f") where skip("false"): return .bool(false)
    case UInt8(ascii: "n") where skip("null"): return .null
    default:
      let notNumbers = ["nan", "inf", "infinity", "-nan", "-inf", "-infinity", "+infinity", "+inf"]
      throw unexpected(notNumbers.contains(word.lowercased()) ? "a finite number" : "a JSON value")
    }
  }

  private mutating func nested(
    _ body: (inout JSONParser) throws(Complaint) -> JSONValue
  ) throws(Complaint) -> JSONValue {
    guard depth < Self.deepestNesting else {
      throw Complaint(expectation: "expected at most \(depth) levels of nesting", offset: position)
    }
    depth += 1
    defer { depth -= 1 }
    position += 1
    return try body(&self)
  }

  private mutating func object() throws(Complaint) -> JSONValue {
    var members: [JSONValue.Member] = []
    var keys: Set<String> = []
    skipSpace()
    if skip("}") { return .object([]) }
    while true {
      skipSpace()
      let start = position
      guard peek == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
      let key = try string()
      guard keys.insert(key).inserted else {
        throw Complaint(
          steps: [.key(key)], expectation: "expected each field once, got it twice", offset: start)
      }
      do throws(Complaint) {
        skipSpace()
        guard skip(":") else { throw unexpected("':'") }
        skipSpace()
        members.append(JSONValue.Member(key: key, value: try value()))
      } catch {
        throw error.inside(.key(key))
      }
      skipSpace()
      if skip("}") { return .object(members) }
      guard skip(",") else { throw unexpected("',' or '}'") }
    }
  }

  private mutating func list() throws(Complaint) -> JSONValue {
    var numbers: [Double] = []
    var values: [JSONValue] = []
    skipSpace()
    if skip("]") { return .array([]) }
    while true {
      skipSpace()
      do throws(Complaint) {
        let value = try value()
        if values.isEmpty, case .number(let number) = value {
          numbers.append(number)
        } else {
          if values.isEmpty {
            values = numbers.map { .number($0) }
            numbers = []
          }
          values.append(value)
        }
      } catch {
        throw error.inside(.index(numbers.count + values.count))
      }
      skipSpace()
      if skip("]") { return values.isEmpty ? .numbers(numbers) : .array(values) }
      guard skip(",") else { throw unexpected("',' or ']'") }
    }
  }

  private mutating func number() throws(Complaint) -> Double {
    let start = position
    if peek == UInt8(ascii: "-") { position += 1 }
    let leadingZero = peek == UInt8(ascii: "0")
    let digits = skipDigits()
    if leadingZero, digits > 1 {
      throw Complaint(expectation: "expected a number without leading zeros", offset: start)
    }
    if peek == UInt8(ascii: ".") {
      position += 1
      if skipDigits() == 0 { throw unexpected("a digit after the decimal point") }
    }
    if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
      position += 1
      if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
      if skipDigits() == 0 { throw unexpected("a digit in the exponent") }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    // Nil and infinity both stand for a magnitude that Float64 cannot hold.
    guard let value = Double(text), value.isFinite else {
      throw Complaint(expectation: "expected a finite number, got \(text.clipped(to: 40))", offset: start)
    }
    return value
  }

  mutating func string() throws(Complaint) -> String {
    position += 1
    var text = ""
    var start = position
    while true {
      switch peek {
      case UInt8(ascii: "\""):
        text += String(decoding: bytes[start..<position], as: UTF8.self)
        position += 1
        return text
      case UInt8(ascii: "\\"):
        text += String(decoding: bytes[start..<position], as: UTF8.self)
        text.unicodeScalars.append(try escape())
        start = position
      case nil: throw unexpected("'\"' at the end of a string")
      case .some(0..<0x20): throw unexpected("a string without control characters")
      default: position += 1
      }
    }
  }

  private mutating func escape() throws(Complaint) -> Unicode.Scalar {
    let start = position
    position += 1
    let letter = peek
    position += 1
    switch letter {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      if let unit = hexadecimalUnit() {
        if let scalar = Unicode.Scalar(unit) { return scalar }
        if UTF16.isLeadSurrogate(unit), skip("\\u"), let second = hexadecimalUnit(),
          UTF16.isTrailSurrogate(second)
        {
          return UTF16.decode(UTF16.EncodedScalar([unit, second]))
        }
      }
      fallthrough
    default:
      throw Complaint(expectation: "expected a valid escape sequence", offset: min(start, bytes.count))
    }
  }

  private mutating func hexadecimalUnit() -> UInt16? {
    guard position + 4 <= bytes.count else { return nil }
    let digits = bytes[position..<position + 4]
    // A sign, which UInt16 would read, is no digit.
    guard digits.first != UInt8(ascii: "+"), digits.first != UInt8(ascii: "-"),
      let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    else { return nil }
    position += 4
    return unit
  }
}
