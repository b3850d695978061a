import FileFormats
import Foundation
import RoutingCore
import RoutingVerification
import Testing
import _TestSupport

@testable import RoutingReports

/// Bytes that come a few at a time, as from a pipe.
final class Trickle: ByteSource {
  private let bytes: [UInt8]
  private let step: Int
  private(set) var position = 0

  init(_ bytes: [UInt8], step: Int) {
    self.bytes = bytes
    self.step = step
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(step, buffer.count, bytes.count - position)
    buffer.copyBytes(from: bytes[position..<position + count])
    position += count
    return count
  }
}

/// Everything in a stream.
struct Contents: Equatable {
  var gradients: [Double] = []
  var draws: [ForeignDraw] = []
  var outcomes: [ForeignOutcome] = []
}

@Suite struct SampleStreamTests {
  static let gradients = (0..<24).map { (n: Int) -> Double in Double(n / 3 - 3) / 4 + Double(n % 3) / 2 }
  static let draws = (0..<8).map { ForeignDraw(choice: [$0 % 3], coins: [$0 % 2]) }

  static func fixture(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: Fixtures.root.appending(path: "samples/\(name)")))
  }

  static func read(_ bytes: [UInt8], coordinates: Int = 3, step: Int = .max, isFile: Bool = false) throws -> Contents {
    let stream = try SampleStream(
      Trickle(bytes, step: step), name: "s", coordinates: coordinates,
      reopen: isFile ? { () throws(Refusal) in Trickle(bytes, step: step) } : nil)
    var contents = Contents()
    var batch = SampleBatch()
    while try stream.next(&batch) {
      contents.gradients += batch.gradients
      contents.draws += batch.draws
      contents.outcomes += batch.outcomes
    }
    return contents
  }

  /// The message with which bytes are refused.
  static func refusal(
    _ bytes: [UInt8], coordinates: Int = 3, isFile: Bool = false, sourceLocation: SourceLocation = #_sourceLocation
  ) -> String {
    for step in [1, 7, Int.max] where step == .max || bytes.count < 100_000 {
      do {
        _ = try read(bytes, coordinates: coordinates, step: step, isFile: isFile)
        Issue.record("was not refused", sourceLocation: sourceLocation)
      } catch let error as Refusal {
        #expect(error.code == .wrongData, sourceLocation: sourceLocation)
        if step == .max { return error.description }
      } catch {
        Issue.record("\(error)", sourceLocation: sourceLocation)
      }
    }
    return ""
  }

  // MARK: NumPy

  @Test(arguments: [
    "f2.npy", "f4.npy", "f8.npy", "f4-big-endian.npy", "f8-big-endian.npy", "version-2.npy", "version-3.npy",
    "single.npz", "piped-single.npz",
  ])
  func arraysOfNumPy(_ name: String) throws {
    for step in [1, 13, Int.max] {
      let contents = try Self.read(Self.fixture(name), step: step)
      #expect(contents == Contents(gradients: Self.gradients))
    }
  }

  @Test(arguments: ["stored.npz", "deflated.npz", "piped.npz"])
  func archivesWithDraws(_ name: String) throws {
    for step in [1, 13, Int.max] {
      let contents = try Self.read(Self.fixture(name), step: step, isFile: true)
      #expect(contents == Contents(gradients: Self.gradients, draws: Self.draws))
    }
  }

  @Test(arguments: [
    ("fortran.npy", false, "expected C order"), ("integers.npy", false, "expected floating-point numbers"),
    ("three-dimensions.npy", false, "expected an array [samples, experts], got 3 dimensions"),
    ("stored.npz", false, "expected 'gradient' as the first member of an archive that is piped, got 'choice'"),
    ("piped-stored.npz", false, "expected its size before a stored member"),
    ("nameless.npz", true, "expected a member 'gradient' or a single one, got a, b"),
  ])
  func arraysThatAreRefused(_ name: String, isFile: Bool, message: String) throws {
    #expect(Self.refusal(try Self.fixture(name), isFile: isFile).contains(message))
  }

  @Test func wrongWidthAndNumbers() throws {
    #expect(
      Self.refusal(try Self.fixture("f4.npy"), coordinates: 4).contains(
        "expected rows of 4 numbers, one for each expert, got 3"))
    var bytes = try Self.fixture("f8.npy")
    bytes.replaceSubrange(bytes.count - 32..<bytes.count - 24, with: [0, 0, 0, 0, 0, 0, 0xF8, 0x7F])
    #expect(Self.refusal(bytes) == "s: row 6, column 2 (from 0): expected a finite number, got nan")
  }

  /// However a file is cut off, that is said, and no number is made up.
  @Test(arguments: ["f4.npy", "version-2.npy", "deflated.npz", "stored.npz", "piped-single.npz"])
  func everyTruncationIsRefused(_ name: String) throws {
    let bytes = try Self.fixture(name)
    let isZip = name.hasSuffix("npz")
    // The directory at an archive's end is not read.
    let needed = isZip ? (Self.directory(bytes) ?? bytes.count) : bytes.count
    for length in stride(from: 6, to: needed, by: 5) {
      #expect(throws: Refusal.self, "\(length)") { try Self.read(Array(bytes[..<length]), isFile: isZip) }
    }
  }

  private static func directory(_ bytes: [UInt8]) -> Int? {
    (0..<bytes.count - 4).first { Array(bytes[$0..<$0 + 4]) == [0x50, 0x4B, 1, 2] }
  }

  @Test func damageIsNoticed() throws {
    var bytes = try Self.fixture("stored.npz")
    let place = try #require(Self.directory(bytes)) - 60
    bytes[place] ^= 1  // within the last member
    #expect(Self.refusal(bytes, isFile: true).contains("checksum"))
    var more = try Self.fixture("f4.npy")
    more.append(0)
    #expect(Self.refusal(more) == "s: expected the end after 8 rows, got more bytes")
  }

  @Test(arguments: [
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", [3, 4]),
    ("{\"shape\": (5,), \"descr\": \"|u1\", \"fortran_order\": True}", [5]),
    ("{'descr': '<f8', 'fortran_order': True, 'shape': (1, 4), }", [1, 4]),
    ("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", []),
  ])
  func headers(text: String, shape: [Int]) throws { #expect(try NpyHeader(dictionary: text).shape == shape) }

  @Test(arguments: [
    "", "{}", "{'descr': '<c8', 'fortran_order': False, 'shape': (3,)}",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}",
    "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (3,)}", "{'descr': '<f4', 'fortran_order': False, 'shape': 3}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -1)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 1)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4",
  ])
  func headersThatAreRefused(text: String) {
    #expect(throws: NpyHeader.InvalidHeader.self) { try NpyHeader(dictionary: text) }
  }

  @Test func halves() {
    for (bits, value) in [
      (0x3C00, 1.0), (0xC000, -2), (0x0001, 0x1p-24), (0x03FF, 1023 * 0x1p-24), (0x0400, 0x1p-14), (0x7BFF, 65504),
      (0x3555, 0.333251953125), (0x7C00, .infinity), (0xFC00, -.infinity),
    ] { #expect(Double(half: UInt16(bits)) == value) }
    #expect(Double(half: 0x7E00).isNaN)
  }

  // MARK: Text

  @Test(arguments: [
    "1,2.5,-3e-2\n4,5,6\n", "a,b,c\n1,2.5,-3e-2\n4,5,6", " 1 , 2.5,\t-3e-2 \r\n4,5,6\r\n", "1,2.5,-0.03\n4,5,6\n\n \n",
  ])
  func commaSeparated(text: String) throws {
    for step in [1, 5, Int.max] {
      #expect(try Self.read(Array(text.utf8), step: step) == Contents(gradients: [1, 2.5, -0.03, 4, 5, 6]))
    }
  }

  @Test(arguments: [
    ("1,2,3\n4,5\n", "s: line 2: expected 3 numbers, one for each expert, got 2"),
    ("1,2,3\n4,5,6,7\n", "s: line 2: expected 3 numbers, one for each expert, got 4"),
    ("h,h,h\n1,2,3\n4,nan,6\n", "s: line 3: column 2: expected a finite number, got 'nan'"),
    ("1,2,3\n4,inf,6\n", "s: line 2: column 2: expected a finite number, got 'inf'"),
    ("nan,2,3\n", "s: line 1: column 1: expected a finite number, got 'nan'"),
    ("1,2,3\n4,,6\n", "s: line 2: column 2: expected a finite number, got ''"),
    ("1,2,3\n4,x,6\n", "s: line 2: column 2: expected a finite number, got 'x'"),
    ("1,2,3\n1 2 3\n", "s: line 2: column 1: expected ',' after a number, got '2 3'"),
    ("1,2,3\n\n4,5,6\n", "s: line 2: expected 3 numbers, got an empty line"),
    ("1,2,1e999\n", "s: line 1: column 3: expected a finite number, got '1e999'"),
  ])
  func commaSeparatedThatIsRefused(text: String, message: String) {
    #expect(Self.refusal(Array(text.utf8)) == message)
  }

  @Test func jsonLines() throws {
    let text = """
      {"gradient": [1, 2.5, -0.03], "choice": [2], "coins": []}
      {"coins": [], "choice": [0], "gradient": [4, 5, 6]}

      """
    for step in [1, 5, Int.max] {
      #expect(
        try Self.read(Array(text.utf8), step: step)
          == Contents(
            gradients: [1, 2.5, -0.03, 4, 5, 6],
            draws: [ForeignDraw(choice: [2], coins: []), ForeignDraw(choice: [0], coins: [])]))
    }
    let outcome = #"{"choice": [2], "coins": [1], "probability": 1, "multiplier": [0.5], "gradient": [1, 2, 3]}"#
    #expect(
      try Self.read(Array(outcome.utf8)).outcomes == [
        ForeignOutcome(
          draw: ForeignDraw(choice: [2], coins: [1]), probability: 1, multiplier: [0.5], gradient: [1, 2, 3])
      ])
  }

  @Test(arguments: [
    (#"{"gradient": [1, 2]}"#, "line 1: gradient: expected 3 numbers, one for each expert, got 2"),
    (
      "{\"gradient\": [1, 2, 3]}\n{\"gradient\": [1, NaN, 3]}",
      "line 2: gradient[1]: expected a finite number, got NaN"
    ),
    ("{\"gradient\": [1, 2, 3]}\n{\"gradient\": [1, 2, 3]", "line 2: expected ',' or '}', got the end of the text"),
    ("{\"gradient\": [1, 2, 3]}\n{\"gradient\": [1, 2, 3], \"choice\": [0]}", "line 2: choice: expected the fields"),
    ("{\"gradient\": [1, 2, 3]}\n\n{\"gradient\": [1, 2, 3]}", "line 2: expected a sample, got an empty line"),
    (#"{"grad": [1, 2, 3]}"#, "line 1: grad: expected no such field"),
    (#"{"gradient": [1, 2, 3], "coins": [0]}"#, "line 1: coins: expected a choice beside them"),
    (#"{"gradient": [1, 2, 3], "choice": [0.5]}"#, "line 1: choice[0]: expected a whole number, got 0.5"),
    (#"{"gradient": [1, 2, 3], "probability": 1.5}"#, "line 1: probability: expected a number from 0 to 1, got 1.5"),
    (#"{"gradient": [1, 2, 3], "multiplier": [1]}"#, "line 1: multiplier: expected a probability beside it"),
  ])
  func jsonLinesThatAreRefused(text: String, message: String) {
    let refusal = Self.refusal(Array(text.utf8))
    #expect(refusal.contains(message), "\(refusal)")
  }

  @Test func emptyStreams() {
    #expect(Self.refusal([]) == "s: expected samples, got an empty stream")
  }

  /// A line that does not end is refused at the limit, whatever it begins with.
  @Test(arguments: ["1,2", "{\"gradient\": [1", "1,2,3\n4,5"])
  func endlessLine(start: String) {
    let line = Array(start.utf8) + [UInt8](repeating: 0x31, count: ByteStream.longestLine * 2 + 100)
    #expect(Self.refusal(line).contains("expected a line of at most \(ByteStream.longestLine) bytes, got a longer one"))
  }

  /// No more is read than is needed for the samples that were asked for.
  @Test func nothingIsReadAhead() throws {
    let bytes = Array(String(repeating: "1,2,3\n", count: 100_000).utf8)
    let source = Trickle(bytes, step: 60)
    let stream = try SampleStream(source, name: "s", coordinates: 3)
    var batch = SampleBatch()
    #expect(try stream.next(&batch))
    #expect(batch.gradients.count == 30)
    #expect(source.position == 60)
  }
}
