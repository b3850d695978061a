import RoutingCore
import Testing

@testable import RouterTraining

/// Files of text: lines, words, vocabularies, pairs; and what is wrong with them.
struct TextTests {
  private static func lines(_ text: String, _ name: String = "a") throws -> TextLines {
    try TextLines(Array(text.utf8), name: name)
  }

  @Test func linesEndAtLineFeeds() throws {
    #expect(try Self.lines("a b\n\nc").count == 3)
    #expect(try Self.lines("a b\n\nc\n").count == 3)
    #expect(try Self.lines("\n").count == 1)
    #expect(try Self.lines(" a\u{A0}b\tc\r\n").words(0) == ["a", "b", "c"].map { Word($0.utf8) })
  }

  @Test func faultsNameFileAndLine() {
    func message(_ bytes: [UInt8]) -> String? {
      do throws(InvalidInput) {
        _ = try TextLines(bytes, name: "train.en")
        return nil
      } catch { return "\(error)" }
    }
    #expect(message([]) == "train.en: expected at least one line, the file is empty")
    #expect(message(Array("a\nb".utf8) + [0xFF, 0x0A]) == "train.en: line 2: expected UTF-8, byte 2 is 0xff")
    // Cut off within a character; a surrogate; too long a form.
    for bytes: [UInt8] in [[0x0A, 0xC3], [0x0A, 0xED, 0xA0, 0x80], [0x0A, 0xC0, 0xAF]] {
      #expect(message(bytes)?.hasPrefix("train.en: line 2: expected UTF-8, byte 1 ") == true)
    }
  }

  @Test func vocabulariesAreInOrderOfFrequency() throws {
    let vocabulary = Vocabulary(of: [try Self.lines("b a c c"), try Self.lines("a c\n")])
    #expect(vocabulary.count == 5)
    #expect(try vocabulary.numbers(Self.lines("c a b d"), line: 0) == [2, 3, 4, Vocabulary.unknown])
    #expect(String(decoding: vocabulary.fileText, as: UTF8.self) == "c\na\nb")
    #expect(try Vocabulary(fileText: vocabulary.fileText, unit: .words, name: "v") == vocabulary)
    let limited = Vocabulary(of: [try Self.lines("b a c c a c")], limit: 4)
    #expect(try limited.count == 4 && limited.numbers(Self.lines("b"), line: 0) == [Vocabulary.unknown])
    #expect(throws: InvalidInput.self) { try Vocabulary(fileText: Array("a\na".utf8), unit: .words, name: "v") }
  }

  /// Strings compare these as equal, files do not.
  @Test func wordsAreBytes() throws {
    #expect(Vocabulary(of: [try Self.lines("\u{E9} e\u{301}")]).count == 4)
  }

  @Test func bytesAreTokens() throws {
    let numbers = try Vocabulary.bytes.numbers(Self.lines("aé"), line: 0)
    #expect(numbers == [0x63, 0xC5, 0xAB])
    #expect(Vocabulary.bytes.text(numbers + [Vocabulary.end]) == "aé")
    #expect(Vocabulary.bytes.count == 258)
  }

  /// Results of `sed -r 's/(@@ )|(@@ ?$)//g'`.
  @Test(arguments: [
    ("bü@@ sche .", "büsche ."), ("a@@", "a"), ("a@@ ", "a"), ("@@@ @ x", "@@ x"), ("a@@@@ @@ b", "a@@b"),
    ("@@ b", "b"), ("a @ @ b", "a @ @ b"), ("", ""),
  ])
  func marksJoinWords(line: String, joined: String) { #expect(Vocabulary.joined(line) == joined) }

  @Test func pairsAreCounted() throws {
    let (source, target) = (try Self.lines("a b\n\na a a a\nb q\n", "s"), try Self.lines("x\nx\nx\ny\n", "t"))
    let vocabulary = Vocabulary(of: [try Self.lines("a b x y")])
    let text = try ParallelText(source: source, target: target, vocabulary: vocabulary, context: 4)
    #expect(text.lines == [0, 3])
    #expect(
      text.counts
        == .init(lines: 4, empty: 1, long: 1, sourceTokens: 6, targetTokens: 4, unknown: 1))
    func message(_ source: TextLines, _ target: TextLines, context: Int) -> String? {
      do throws(InvalidInput) {
        _ = try ParallelText(source: source, target: target, vocabulary: vocabulary, context: context)
        return nil
      } catch { return "\(error)" }
    }
    let short = try Self.lines("x", "u")
    #expect(message(source, short, context: 4) == "s, u: expected as many lines in both, got 4 and 1")
    #expect(message(source, target, context: 1)?.hasPrefix("s, t: expected a pair of lines") == true)
  }

  /// Every epoch has every pair once, none of its batches is too full, and no two epochs are alike.
  @Test func batchesCoverTheText() {
    let lengths = (0..<200).map { (source: 2 + $0 * 7 % 11, target: 2 + $0 * 5 % 13) }
    let plan = BatchPlan(lengths: lengths, tokens: 40, seed: 7)
    for batch in plan.batches {
      let (source, target) = (batch.map { lengths[$0].source }, batch.map { lengths[$0].target })
      #expect(source.reduce(0, +) <= 40)
      #expect(target.reduce(0, +) <= 40)
    }
    let count = plan.batches.count
    let epochs = (0..<2).map { epoch in (0..<count).map { plan.batch(step: epoch * count + $0) } }
    for epoch in epochs { #expect(epoch.joined().sorted() == Array(0..<200)) }
    #expect(epochs[0] != epochs[1])
    #expect(BatchPlan(lengths: lengths, tokens: 40, seed: 7).batch(step: 3) == plan.batch(step: 3))
    #expect(BatchPlan(lengths: lengths, tokens: 40, seed: 8).batches != plan.batches)
  }
}
