import Foundation
import RoutingCore
import Testing
import _TestSupport

@testable import RoutingReports

/// Files read piece by piece are read as if they were whole.
struct ProblemSourceTests {
  private static let list = #"""
    {"schema": "routegrad.problems/1", "problems": [
     {"name": "é ]},", "kind": "categorical", "logits": [0, 1], "objective": {"type": "linear", "coefficients": [1, 2]}} ,
     {"kind": "categorical", "logits": [3, 1],
      "objective": {"type": "linear", "coefficients": [1, 2]}}
    ]}

    """#
  private static let single =
    #"{"schema": "routegrad.problem/1", "kind": "categorical", "logits": [0, 1], "objective": {"type": "linear", "coefficients": [1, 2]}}"#

  private static func source(_ bytes: [UInt8], piece: Int) -> ProblemSource {
    ProblemSource(file: "f") {
      var start = 0
      return {
        defer { start = min(start + piece, bytes.count) }
        return Array(bytes[start..<min(start + piece, bytes.count)])
      }
    }
  }

  private static func all(_ source: ProblemSource) throws -> [String] {
    var locations: [String] = []
    let next = try source.start()
    while let problem = try next() { locations.append("\(problem.location) \(problem.problem.logits)") }
    return locations
  }

  /// The problems, or the message.
  private static func result(_ body: () throws -> [String]) -> [String] {
    do { return try body() } catch { return ["\(error)"] }
  }

  @Test(arguments: [1, 2, 7, 64, 100_000])
  func problemsAreThoseOfTheWholeText(piece: Int) throws {
    for text in [Self.list, Self.single, "\u{FEFF}" + Self.list] {
      let bytes = Array(text.utf8)
      let whole = try ProblemFile.problems(of: bytes, file: "f").map { "\($0.location) \($0.problem.logits)" }
      let source = Self.source(bytes, piece: piece)
      #expect(try Self.all(source) == whole)
      #expect(try Self.all(source) == whole)  // as often as asked
    }
  }

  /// Every text with a byte missing, doubled or replaced is refused if the whole is, with the same words where it has one fault. Of
  /// several, a whole text says what is not UTF-8 or JSON first; piece by piece it is what stands first: what begins as no file of
  /// problems, or an item of the list that ends too early, and is no problem then.
  @Test func faultsAreThoseOfTheWholeText() {
    let bytes = Array(Self.list.utf8)
    for k in bytes.indices {
      for replacement in [[], [bytes[k], bytes[k]], [0x7D], [0x5D], [0x22], [0x2C], [0xFF]] as [[UInt8]] {
        var damaged = bytes
        damaged.replaceSubrange(k...k, with: replacement)
        let whole = Self.result {
          try ProblemFile.problems(of: damaged, file: "f").map { "\($0.location) \($0.problem.logits)" }
        }
        let pieces = Self.result { try Self.all(Self.source(damaged, piece: 5)) }
        #expect(
          (whole.first?.hasPrefix("f: problems[") == true && whole.count == 2) == (pieces.count == 2),
          "\(k) \(replacement)")
        guard whole != pieces, let said = whole.first, let other = pieces.first else { continue }
        let isNoText = said.hasPrefix("f: expected UTF-8")
        let isNoFile = other.hasPrefix("f: expected a problem file (an object)")
        let endsEarly = said.hasPrefix("f: problems: expected ',' or ']'") && other.hasPrefix("f: problems[")
        #expect(isNoText || isNoFile || endsEarly, "\(k) \(replacement): \(said), but \(other)")
      }
    }
  }

  @Test(arguments: [
    "", " ", "[", "{", "{}", "[1]", "{\"problems\": []}", "{\"problems\": [], \"schema\": \"routegrad.problems/1\"}",
    "{\"schema\": \"routegrad.problems/1\", \"problems\": 3}",
    "{\"schema\": \"routegrad.problems/1\", \"problems\": [1]}",
  ])
  func whatHoldsNoProblemIsRefused(text: String) {
    #expect(throws: (any Error).self) { try Self.all(Self.source(Array(text.utf8), piece: 3)) }
  }
}
