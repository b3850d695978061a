extension BLEU.Tokenizer {
  /// The words of a sentence.
  func words(_ sentence: String) -> [Word] {
    var bytes = Array(sentence.utf8)
    if self == .mteval13a {
      bytes = Self.separated(Self.unescaped(Self.trimmed(bytes)))
    }
    return bytes.withUnsafeBufferPointer { bytes in Whitespace.words(bytes).map { Word(bytes[$0]) } }
  }

  /// Without whitespace at the end.
  private static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
    bytes.withUnsafeBufferPointer { buffer in Array(buffer[..<(Whitespace.words(buffer).last?.upperBound ?? 0)]) }
  }

  /// The part of mteval-v13a that does not depend on the language.
  private static func unescaped(_ bytes: [UInt8]) -> [UInt8] {
    let replacements = [
      ("<skipped>", ""), ("-\n", ""), ("\n", " "), ("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"),
    ]
    return replacements.reduce(bytes) { replaced($0, Array($1.0.utf8), by: Array($1.1.utf8)) }
  }

  private static func replaced(_ bytes: [UInt8], _ old: [UInt8], by new: [UInt8]) -> [UInt8] {
    guard bytes.contains(old[0]) else { return bytes }
    var result: [UInt8] = []
    var k = 0
    while k < bytes.count {
      if bytes[k] == old[0], bytes[k...].starts(with: old) {
        result += new
        k += old.count
      } else {
        result.append(bytes[k])
        k += 1
      }
    }
    return result
  }

  /// The part for Western languages: punctuation stands alone, but for a period, a comma between digits, and a dash that follows no digit.
  ///
  /// The rules name ASCII characters only, so they do the same to bytes as to characters.
  private static func separated(_ bytes: [UInt8]) -> [UInt8] {
    var text: [UInt8] = [0x20]
    for byte in bytes {
      switch byte {
      // {-~ [-` space-& (-+ :-@ /
      case 0x7B...0x7E, 0x5B...0x60, 0x20...0x26, 0x28...0x2B, 0x3A...0x40, 0x2F: text += [0x20, byte, 0x20]
      default: text.append(byte)
      }
    }
    text.append(0x20)
    text = pairs(text) { !isDigit($0) && isStop($1) ? [$0, 0x20, $1, 0x20] : nil }
    text = pairs(text) { isStop($0) && !isDigit($1) ? [0x20, $0, 0x20, $1] : nil }
    return pairs(text) { isDigit($0) && $1 == 0x2D ? [$0, 0x20, $1, 0x20] : nil }
  }

  /// Replaces pairs of neighbours from left to right, none of which overlap.
  ///
  /// - Parameter new: what two bytes become; nil: they stay.
  private static func pairs(_ bytes: [UInt8], by new: (UInt8, UInt8) -> [UInt8]?) -> [UInt8] {
    var result: [UInt8] = []
    var k = 0
    while k < bytes.count {
      if k + 1 < bytes.count, let pair = new(bytes[k], bytes[k + 1]) {
        result += pair
        k += 2
      } else {
        result.append(bytes[k])
        k += 1
      }
    }
    return result
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
  /// A period or a comma.
  private static func isStop(_ byte: UInt8) -> Bool { byte == 0x2E || byte == 0x2C }
}
