extension JSONParser {
  var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  func isDigit(at index: Int) -> Bool {
    index < bytes.count && bytes[index] >= UInt8(ascii: "0") && bytes[index] <= UInt8(ascii: "9")
  }

  mutating func skipDigits() -> Int {
    let start = position
    while isDigit(at: position) { position += 1 }
    return position - start
  }

  mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  /// Moves past `token` if it comes next.
  mutating func skip(_ token: StaticString) -> Bool {
    token.withUTF8Buffer { token in
      guard bytes[position...].starts(with: token) else { return false }
      position += token.count
      return true
    }
  }

  /// The letters that come next, with a sign before them.
  var word: String {
    let rest = bytes[position...]
    let sign = rest.prefix(1).filter { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
    let letters = rest.dropFirst(sign.count).prefix { UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 }
    return String(decoding: sign + letters, as: UTF8.self)
  }

  func unexpected(_ expected: String) -> Complaint {
    let found: String
    if position >= bytes.count {
      found = "the end of the text"
    } else if !word.isEmpty {
      found = word.clipped(to: 40)
    } else {
      found = "'\(String(decoding: bytes[position...].prefix(4), as: UTF8.self).prefix(1))'"
    }
    return Complaint(expectation: "expected \(expected), got \(found)", offset: min(position, bytes.count))
  }
}
