import RoutingCore

/// The tokens that a text is made of, numbered: words in order of frequency, or bytes. The first two numbers are the end of a sentence
/// and words that are not in the list.
package struct Vocabulary: Sendable, Equatable {
  /// What a token is.
  package enum Unit: String, Sendable, CaseIterable {
    /// Words between whitespace, as subword-nmt and fairseq write them: `@@` at a word's end joins it to the next.
    case words
    /// Bytes of UTF-8.
    case bytes
  }

  /// The number of the end of a sentence, which also begins the output.
  package static let end: Int32 = 0
  /// The number of every word that has none of its own.
  package static let unknown: Int32 = 1
  private static let special = 2

  package let unit: Unit
  /// The words, the first of them number 2.
  private let words: [Word]
  private let numbers: [Word: Int32]

  /// How many numbers there are.
  package var count: Int { Self.special + (unit == .bytes ? 256 : words.count) }

  /// All 256 bytes.
  package static let bytes = Vocabulary(.bytes, [])

  private init(_ unit: Unit, _ words: [Word]) {
    self.unit = unit
    self.words = words
    numbers = Dictionary(uniqueKeysWithValues: words.enumerated().map { ($1, Int32($0 + Self.special)) })
  }

  /// The words of some texts together, the more frequent first, those of one frequency in order of their bytes.
  ///
  /// - Parameter limit: the most numbers, the two that stand for no word included; what is left out is
  ///   unknown. nil: no limit.
  package init(of texts: [TextLines], limit: Int? = nil) {
    var counts: [Word: Int] = [:]
    for text in texts {
      for k in 0..<text.count {
        for word in text.words(k) { counts[word, default: 0] += 1 }
      }
    }
    let sorted = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
    self.init(.words, Array(sorted.prefix(limit.map { max($0 - Self.special, 0) } ?? sorted.count)))
  }

  package static func == (a: Vocabulary, b: Vocabulary) -> Bool { a.unit == b.unit && a.words == b.words }

  // MARK: - Numbers and text

  /// The numbers of a line's tokens, without an end.
  package func numbers(_ text: TextLines, line: Int) -> [Int32] {
    switch unit {
    case .words: text.words(line).map { numbers[$0] ?? Self.unknown }
    case .bytes: text.bytes(line).map { Int32($0) + Int32(Self.special) }
    }
  }

  /// The text that numbers stand for: words with spaces between them, or with `joined` put together at `@@`.
  ///
  /// The end stands for nothing, an unknown word for `<unk>`.
  package func text(_ tokens: some Sequence<Int32>, joined: Bool = true) -> String {
    var text: [UInt8] = []
    for token in tokens where token != Self.end {
      switch unit {
      case .bytes: if Int(token) >= Self.special { text.append(UInt8(Int(token) - Self.special)) }
      case .words:
        if !text.isEmpty { text.append(0x20) }
        text += token == Self.unknown ? Array("<unk>".utf8) : words[Int(token) - Self.special].bytes
      }
    }
    let whole = String(decoding: text, as: UTF8.self)
    return joined && unit == .words ? Self.joined(whole) : whole
  }

  /// A line without the marks at which words were taken apart: `s/(@@ )|(@@ ?$)//g`, as subword-nmt's manual has it.
  package static func joined(_ line: String) -> String {
    var bytes: [UInt8] = []
    // What stands before a mark that was removed is no part of another.
    var begin = 0
    for byte in line.utf8 {
      bytes.append(byte)
      if byte == 0x20, bytes[begin...].suffix(3) == [0x40, 0x40, 0x20] {
        bytes.removeLast(3)
        begin = bytes.count
      }
    }
    if bytes[begin...].suffix(2) == [0x40, 0x40] { bytes.removeLast(2) }
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: - In files

  /// The words, one a line.
  package var fileText: [UInt8] { Array(words.map(\.bytes).joined(separator: [0x0A])) }

  /// Reads ``fileText``.
  ///
  /// - Throws: `InvalidInput` if it is not UTF-8, or a line is not one word that no other line is.
  package init(fileText: [UInt8], unit: Unit, name: String) throws(InvalidInput) {
    guard unit == .words else {
      self = .bytes
      return
    }
    guard !fileText.isEmpty else {
      self.init(.words, [])
      return
    }
    let lines = try TextLines(fileText, name: name)
    var words: [Word] = []
    var seen: Set<Word> = []
    for k in 0..<lines.count {
      let line = lines.words(k)
      guard line.count == 1, seen.insert(line[0]).inserted else {
        throw InvalidInput("\(name): line \(k + 1)", "expected one word, which no other line has")
      }
      words.append(line[0])
    }
    self.init(.words, words)
  }
}
