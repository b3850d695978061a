/// Splitting text into words at Unicode whitespace, on UTF-8 bytes: what Python's `str.split()` does, and so subword-nmt, fairseq and
/// sacrebleu.
enum Whitespace {
  /// The length of the whitespace character that begins at `k`, 0 if there is none.
  static func length(_ text: UnsafeBufferPointer<UInt8>, at k: Int) -> Int {
    switch text[k] {
    // Tabs and line ends, the separators 1C to 1F, and the space.
    case 0x09...0x0D, 0x1C...0x20: return 1
    case 0xC2:
      // U+0085 and U+00A0
      return k + 1 < text.count && (text[k + 1] == 0x85 || text[k + 1] == 0xA0) ? 2 : 0
    case 0xE1, 0xE2, 0xE3:
      guard k + 2 < text.count else { return 0 }
      switch (text[k], text[k + 1], text[k + 2]) {
      // U+1680, U+2000–200A, 2028, 2029, 202F, 205F, 3000
      case (0xE1, 0x9A, 0x80), (0xE2, 0x80, 0x80...0x8A), (0xE2, 0x80, 0xA8), (0xE2, 0x80, 0xA9), (0xE2, 0x80, 0xAF),
        (0xE2, 0x81, 0x9F), (0xE3, 0x80, 0x80):
        return 3
      default: return 0
      }
    default: return 0
    }
  }

  /// The ranges between whitespace, none of them empty.
  static func words(_ text: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
    var words: [Range<Int>] = []
    var start: Int?
    var k = 0
    while k < text.count {
      let space = length(text, at: k)
      if space > 0 {
        if let first = start { words.append(first..<k) }
        start = nil
      } else if start == nil {
        start = k
      }
      k += max(space, 1)
    }
    if let start { words.append(start..<text.count) }
    return words
  }
}

/// A word as it stands in a file: bytes, so that words are the same only if they are written the same, which Swift's strings do not
/// ask for (they compare `é` and `e` with an accent as equal).
struct Word: Hashable, Comparable, Sendable {
  let bytes: [UInt8]

  init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

  func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }

  static func < (a: Word, b: Word) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}
