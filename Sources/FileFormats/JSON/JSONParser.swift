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

/// A strict reader of JSON (RFC 8259) that knows the path of whatever it refuses.
///
/// Stricter than the standard asks for in two ways: a repeated key is refused, and so is a number that
/// Float64 cannot hold (one too small for it is 0). More lenient in one: a byte order mark is skipped.
///
/// - Complexity: O(bytes).
package struct JSONParser {
  /// The deepest nesting read; formats need six levels. The reader recurses, so there must be a limit.
  package static let deepestNesting = 16

  private var bytes: [UInt8]
  /// What was dropped before `bytes`: lines, and bytes of the line that they begin in.
  private var dropped = (lines: 0, column: 0)
  private var position = 0
  private var depth = 0

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

  fileprivate init(bytes: [UInt8]) { self.bytes = bytes }

  /// A refusal on its way up to the root, collecting the path from its end.
  fileprivate struct Refusal: Error {
    var steps: [Step] = []
    var expectation: String
    var offset: Int

    enum Step {
      case key(String)
      case index(Int)
    }

    func inside(_ step: Step) -> Refusal {
      var refusal = self
      refusal.steps.append(step)
      return refusal
    }
  }

  fileprivate func located(_ refusal: Refusal) -> JSONError {
    var path = ""
    for step in refusal.steps.reversed() {
      switch step {
      case .key(let key): path += (path.isEmpty ? "" : ".") + key.clipped(to: 40)
      case .index(let index): path += "[\(index)]"
      }
    }
    let before = bytes[..<refusal.offset]
    let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let lines = before.count { $0 == UInt8(ascii: "\n") }
    return JSONError(
      path: path.clipped(to: 120), expectation: refusal.expectation, line: 1 + dropped.lines + lines,
      column: refusal.offset - lineStart + 1 + (lines == 0 ? dropped.column : 0))
  }
}

// MARK: - Grammar

extension JSONParser {
  private mutating func document() throws(Refusal) -> JSONValue {
    try requireUTF8(bytes.indices)
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    skipSpace()
    if position == bytes.count {
      throw Refusal(expectation: "expected a JSON object, got an empty text", offset: position)
    }
    let value = try value()
    skipSpace()
    if position < bytes.count { throw unexpected("the end of the text") }
    return value
  }

  private func requireUTF8(_ range: Range<Int>) throws(Refusal) {
    do {
      _ = try UTF8Span(validating: bytes.span.extracting(range))
    } catch {
      let offset = range.lowerBound + error.byteOffsets.lowerBound
      let byte = String(bytes[offset], radix: 16, uppercase: true)
      throw Refusal(expectation: "expected UTF-8, got the byte 0x\(byte)", offset: offset)
    }
  }

  private mutating func value() throws(Refusal) -> JSONValue {
    switch peek {
    case UInt8(ascii: "{"): return try nested { (parser) throws(Refusal) in try parser.object() }
    case UInt8(ascii: "["): return try nested { (parser) throws(Refusal) in try parser.list() }
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
    _ body: (inout JSONParser) throws(Refusal) -> JSONValue
  ) throws(Refusal) -> JSONValue {
    guard depth < Self.deepestNesting else {
      throw Refusal(expectation: "expected at most \(depth) levels of nesting", offset: position)
    }
    depth += 1
    defer { depth -= 1 }
    position += 1
    return try body(&self)
  }

  private mutating func object() throws(Refusal) -> JSONValue {
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
        throw Refusal(
          steps: [.key(key)], expectation: "expected each field once, got it twice", offset: start)
      }
      do throws(Refusal) {
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

  private mutating func list() throws(Refusal) -> JSONValue {
    var numbers: [Double] = []
    var values: [JSONValue] = []
    skipSpace()
    if skip("]") { return .array([]) }
    while true {
      skipSpace()
      do throws(Refusal) {
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

  private mutating func number() throws(Refusal) -> Double {
    let start = position
    if peek == UInt8(ascii: "-") { position += 1 }
    let leadingZero = peek == UInt8(ascii: "0")
    let digits = skipDigits()
    if leadingZero, digits > 1 {
      throw Refusal(expectation: "expected a number without leading zeros", offset: start)
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
      throw Refusal(expectation: "expected a finite number, got \(text.clipped(to: 40))", offset: start)
    }
    return value
  }

  private mutating func string() throws(Refusal) -> String {
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

  private mutating func escape() throws(Refusal) -> Unicode.Scalar {
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
      throw Refusal(expectation: "expected a valid escape sequence", offset: min(start, bytes.count))
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

// MARK: - Bytes

extension JSONParser {
  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private func isDigit(at index: Int) -> Bool {
    index < bytes.count && bytes[index] >= UInt8(ascii: "0") && bytes[index] <= UInt8(ascii: "9")
  }

  private mutating func skipDigits() -> Int {
    let start = position
    while isDigit(at: position) { position += 1 }
    return position - start
  }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  /// Moves past `token` if it comes next.
  private mutating func skip(_ token: StaticString) -> Bool {
    token.withUTF8Buffer { token in
      guard bytes[position...].starts(with: token) else { return false }
      position += token.count
      return true
    }
  }

  /// The letters that come next, with a sign before them.
  private var word: String {
    let rest = bytes[position...]
    let sign = rest.prefix(1).filter { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
    let letters = rest.dropFirst(sign.count).prefix { UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 }
    return String(decoding: sign + letters, as: UTF8.self)
  }

  private func unexpected(_ expected: String) -> Refusal {
    let found: String
    if position >= bytes.count {
      found = "the end of the text"
    } else if !word.isEmpty {
      found = word.clipped(to: 40)
    } else {
      found = "'\(String(decoding: bytes[position...].prefix(4), as: UTF8.self).prefix(1))'"
    }
    return Refusal(expectation: "expected \(expected), got \(found)", offset: min(position, bytes.count))
  }
}

// MARK: - Texts that do not fit into memory

/// Reads a JSON object piece by piece: the items of one of its fields, a list, as they come, and its other fields.
///
/// Refuses what ``JSONParser`` refuses, with the same words, when it is reached. Memory is that of the largest item.
package struct JSONListReader {
  /// The fields other than the list, as far as they were read.
  package private(set) var fields: [JSONValue.Member] = []

  private let list: String
  private let read: () throws -> [UInt8]
  private var parser = JSONParser(bytes: [])
  private var isAtEnd = false
  private var state = State.beginning
  private var keys: Set<String> = []
  private var items = 0

  private enum State {
    case beginning
    case fields(isFirst: Bool)
    case items(isFirst: Bool)
    case end
  }

  /// Prepares to read.
  ///
  /// - Parameters:
  ///   - list: the name of the field that is a list.
  ///   - read: gives the next piece of the text, empty at its end.
  package init(_ list: String, read: @escaping () throws -> [UInt8]) {
    self.list = list
    self.read = read
  }

  /// The next item, or nil after the end of the object.
  ///
  /// - Throws: ``JSONError`` for the first thing that is wrong, and what `read` throws.
  package mutating func next() throws -> JSONValue? {
    while true {
      switch state {
      case .end: return nil
      case .beginning:
        try fillByte()
        try parsing { parser throws(JSONParser.Refusal) in try parser.beginning() }
        state = .fields(isFirst: true)
      case .fields(let isFirst):
        try fill()
        if try parsing({ parser throws(JSONParser.Refusal) in try parser.closes("}", isFirst: isFirst) }) {
          try fill()
          try parsing { parser throws(JSONParser.Refusal) in try parser.requireEnd() }
          state = .end
          return nil
        }
        try fill()
        let key = try parsing { [keys] parser throws(JSONParser.Refusal) in try parser.key(otherThan: keys) }
        keys.insert(key)
        try fillByte()
        if key == list, parser.startsList {
          try parsing { parser throws(JSONParser.Refusal) in parser.enterList() }
          state = .items(isFirst: true)
        } else {
          try fill()
          let value = try parsing { parser throws(JSONParser.Refusal) in try parser.field(key) }
          fields.append(.init(key: key, value: value))
          state = .fields(isFirst: false)
        }
      case .items(let isFirst):
        try fill()
        if try parsing({ [list] parser throws(JSONParser.Refusal) in try parser.closes("]", isFirst: isFirst, of: list)
        }) {
          if items == 0 { fields.append(.init(key: list, value: .array([]))) }
          state = .fields(isFirst: false)
          continue
        }
        try fill()
        let (index, list) = (items, list)
        let value = try parsing { parser throws(JSONParser.Refusal) in try parser.item(index, of: list) }
        items += 1
        state = .items(isFirst: false)
        return value
      }
    }
  }

  private mutating func parsing<Value>(
    _ body: (inout JSONParser) throws(JSONParser.Refusal) -> Value
  ) throws(JSONError) -> Value {
    do throws(JSONParser.Refusal) {
      return try body(&parser)
    } catch {
      throw parser.located(error)
    }
  }

  /// Reads on until something comes next that is no space.
  private mutating func fillByte() throws {
    while !isAtEnd, !parser.hasByte {
      let piece = try read()
      if piece.isEmpty { isAtEnd = true } else { parser.append(piece) }
    }
  }

  /// Reads on until what comes next is whole: a value, or a key with its colon.
  private mutating func fill() throws {
    parser.dropRead()
    var scan = JSONParser.Scan()
    while !isAtEnd, !parser.isWhole(&scan) {
      let piece = try read()
      if piece.isEmpty { isAtEnd = true } else { parser.append(piece) }
    }
  }
}

extension JSONParser {
  /// How far the bytes that come next have been looked at.
  fileprivate struct Scan {
    var position: Int?
    var depth = 0
    var isInString = false
    var isEscaped = false
  }

  fileprivate mutating func append(_ piece: [UInt8]) { bytes += piece }

  /// Forgets what was read, once that is worth it.
  fileprivate mutating func dropRead() {
    guard position > max(1 << 16, bytes.count / 2) else { return }
    let read = bytes[..<position]
    dropped.lines += read.count { $0 == UInt8(ascii: "\n") }
    dropped.column =
      read.lastIndex(of: UInt8(ascii: "\n")).map { position - $0 - 1 } ?? dropped.column + position
    bytes.removeFirst(position)
    position = 0
  }

  /// Whether a whole value, or a sign, comes next and something after it.
  fileprivate func isWhole(_ scan: inout Scan) -> Bool {
    var k = scan.position ?? position
    defer { scan.position = k }
    while k < bytes.count {
      let byte = bytes[k]
      k += 1
      if scan.isInString {
        if scan.isEscaped {
          scan.isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          scan.isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          scan.isInString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): scan.isInString = true
      case UInt8(ascii: "{"), UInt8(ascii: "["): scan.depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): scan.depth -= 1
      case UInt8(ascii: ":"): if scan.depth == 0 { return k + 8 < bytes.count }
      case UInt8(ascii: ","): if scan.depth == 0, k > position + 1 { return k + 8 < bytes.count }
      default: break
      }
      if scan.depth < 0 || (scan.depth == 0 && (byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]"))) {
        return k < bytes.count
      }
    }
    return false
  }

  /// Whether a byte that is no space comes next; a byte order mark alone is none.
  fileprivate var hasByte: Bool {
    var parser = self
    if parser.position == 0, bytes.starts(with: [0xEF, 0xBB, 0xBF]) { parser.position = 3 }
    parser.skipSpace()
    return parser.position + 3 < bytes.count
  }

  fileprivate mutating func beginning() throws(Refusal) {
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    skipSpace()
    if position == bytes.count {
      throw Refusal(expectation: "expected a JSON object, got an empty text", offset: position)
    }
    guard skip("{") else { throw unexpected("a problem file (an object)") }
  }

  /// Whether an object or a list ends here; if not, a comma was read where there has to be one.
  fileprivate mutating func closes(_ sign: StaticString, isFirst: Bool, of list: String? = nil) throws(Refusal) -> Bool
  {
    skipSpace()
    if skip(sign) { return true }
    if !isFirst, !skip(",") {
      let refusal = unexpected("',' or '\(sign)'")
      throw list.map { refusal.inside(.key($0)) } ?? refusal
    }
    return false
  }

  fileprivate mutating func key(otherThan keys: Set<String>) throws(Refusal) -> String {
    skipSpace()
    let start = position
    guard peek == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
    let key = try string()
    try requireUTF8(start..<position)
    guard !keys.contains(key) else {
      throw Refusal(steps: [.key(key)], expectation: "expected each field once, got it twice", offset: start)
    }
    skipSpace()
    guard skip(":") else { throw unexpected("':'").inside(.key(key)) }
    skipSpace()
    return key
  }

  fileprivate var startsList: Bool {
    var parser = self
    parser.skipSpace()
    return parser.peek == UInt8(ascii: "[")
  }

  fileprivate mutating func enterList() {
    skipSpace()
    position += 1
  }

  fileprivate mutating func field(_ key: String) throws(Refusal) -> JSONValue {
    try whole(depth: 1, .key(key))
  }

  fileprivate mutating func item(_ index: Int, of list: String) throws(Refusal) -> JSONValue {
    do throws(Refusal) {
      return try whole(depth: 2, .index(index))
    } catch {
      throw error.inside(.key(list))
    }
  }

  private mutating func whole(depth: Int, _ step: Refusal.Step) throws(Refusal) -> JSONValue {
    skipSpace()
    let start = position
    self.depth = depth
    do throws(Refusal) {
      let value = try value()
      try requireUTF8(start..<position)
      return value
    } catch {
      throw error.inside(step)
    }
  }

  fileprivate mutating func requireEnd() throws(Refusal) {
    skipSpace()
    if position < bytes.count { throw unexpected("the end of the text") }
  }
}
