// Texts that do not fit into memory: what comes next of them, a piece at a time, for ``JSONListReader``.

extension JSONParser {
  /// How far the bytes that come next have been looked at.
  struct Scan {
    var position: Int?
    var depth = 0
    var isInString = false
    var isEscaped = false
  }

  mutating func append(_ piece: [UInt8]) { bytes += piece }

  /// Forgets what was read, once that is worth it.
  mutating func dropRead() {
    guard position > max(1 << 16, bytes.count / 2) else { return }
    let read = bytes[..<position]
    dropped.lines += read.count { $0 == UInt8(ascii: "\n") }
    dropped.column =
      read.lastIndex(of: UInt8(ascii: "\n")).map { position - $0 - 1 } ?? dropped.column + position
    bytes.removeFirst(position)
    position = 0
  }

  /// Whether a whole value, or a sign, comes next and something after it.
  func isWhole(_ scan: inout Scan) -> Bool {
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
  var hasByte: Bool {
    var parser = self
    if parser.position == 0, bytes.starts(with: [0xEF, 0xBB, 0xBF]) { parser.position = 3 }
    parser.skipSpace()
    return parser.position + 3 < bytes.count
  }

  mutating func beginning() throws(Complaint) {
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    skipSpace()
    if position == bytes.count {
      throw Complaint(expectation: "expected a JSON object, got an empty text", offset: position)
    }
    guard skip("{") else { throw unexpected("a problem file (an object)") }
  }

  /// Whether an object or a list ends here; if not, a comma was read where there has to be one.
  mutating func closes(_ sign: StaticString, isFirst: Bool, of list: String? = nil) throws(Complaint) -> Bool {
    skipSpace()
    if skip(sign) { return true }
    if !isFirst, !skip(",") {
      let complaint = unexpected("',' or '\(sign)'")
      throw list.map { complaint.inside(.key($0)) } ?? complaint
    }
    return false
  }

  mutating func key(otherThan keys: Set<String>) throws(Complaint) -> String {
    skipSpace()
    let start = position
    guard peek == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
    let key = try string()
    try requireUTF8(start..<position)
    guard !keys.contains(key) else {
      throw Complaint(steps: [.key(key)], expectation: "expected each field once, got it twice", offset: start)
    }
    skipSpace()
    guard skip(":") else { throw unexpected("':'").inside(.key(key)) }
    skipSpace()
    return key
  }

  var startsList: Bool {
    var parser = self
    parser.skipSpace()
    return parser.peek == UInt8(ascii: "[")
  }

  mutating func enterList() {
    skipSpace()
    position += 1
  }

  mutating func field(_ key: String) throws(Complaint) -> JSONValue {
    try whole(depth: 1, .key(key))
  }

  mutating func item(_ index: Int, of list: String) throws(Complaint) -> JSONValue {
    do throws(Complaint) {
      return try whole(depth: 2, .index(index))
    } catch {
      throw error.inside(.key(list))
    }
  }

  private mutating func whole(depth: Int, _ step: Complaint.Step) throws(Complaint) -> JSONValue {
    skipSpace()
    let start = position
    self.depth = depth
    do throws(Complaint) {
      let value = try value()
      try requireUTF8(start..<position)
      return value
    } catch {
      throw error.inside(step)
    }
  }

  mutating func requireEnd() throws(Complaint) {
    skipSpace()
    if position < bytes.count { throw unexpected("the end of the text") }
  }
}
