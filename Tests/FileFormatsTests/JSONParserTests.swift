import RoutingCore
import Testing

import enum _TestSupport.DecodedJSON

@testable import FileFormats

struct JSONParserTests {
  private func parse(_ text: String) throws -> JSONValue { try JSONParser.parse(Array(text.utf8)) }

  private func refusal(_ bytes: [UInt8]) -> JSONError? {
    do {
      _ = try JSONParser.parse(bytes)
      return nil
    } catch { return error }
  }

  @Test func readsEveryKindOfValue() throws {
    let text =
      #" { "a" : [ ] , "b":[1,-2.5e-1 , 3E+2],"c":[1,"x",null],"d":{},"e":true,"f":false,"g":null } "#
    #expect(
      try parse(text) == [
        "a": .array([]), "b": .numbers([1, -0.25, 300]), "c": .array([.number(1), "x", .null]),
        "d": .object([]), "e": .bool(true), "f": .bool(false), "g": .null,
      ])
    #expect(try parse("\u{FEFF}[[1], [2, 3]]") == .array([.numbers([1]), .numbers([2, 3])]))
  }

  @Test(arguments: [
    ("0", 0.0), ("-0.0", -0.0), ("1e-999", 0), ("5e-324", .leastNonzeroMagnitude),
    ("1.7976931348623157e308", .greatestFiniteMagnitude),
    ("123456789012345678901234567890", 123456789012345678901234567890.0), ("0.1", 0.1), ("1E+2", 100),
    ("2.2250738585072011e-308", Double.leastNormalMagnitude.nextDown),
    ("0." + String(repeating: "3", count: 5000), 1.0 / 3),
  ])
  func readsNumbers(text: String, expected: Double) throws {
    guard case .number(let value) = try parse(text) else {
      Issue.record("\(text) is no number")
      return
    }
    #expect(value.bitPattern == expected.bitPattern)
  }

  @Test(arguments: [
    (#""""#, ""), (#""a\"\\\/\b\f\n\r\t""#, "a\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9\ud83d\ude00é😀""#, "é😀é😀"),
    (#""\u0000""#, "\0"),
  ])
  func readsStrings(text: String, expected: String) throws {
    #expect(try parse(text) == .string(expected))
  }

  @Test(arguments: [
    ("", "", "expected a JSON object, got an empty text", 1, 1),
    (" \n ", "", "expected a JSON object, got an empty text", 2, 2),
    ("[1,", "[1]", "expected a JSON value, got the end of the text", 1, 4),
    ("[1", "", "expected ',' or ']', got the end of the text", 1, 3),
    ("{\"a\": [1, 2,\n  NaN]}", "a[2]", "expected a finite number, got NaN", 2, 3),
    ("{\"a\": [-Infinity]}", "a[0]", "expected a finite number, got -Infinity", 1, 8),
    ("{\"a\": {\"b\": [[0], [1e999]]}}", "a.b[1][0]", "expected a finite number, got 1e999", 1, 20),
    ("[None]", "[0]", "expected a JSON value, got None", 1, 2),
    ("[tru]", "[0]", "expected a JSON value, got tru", 1, 2),
    ("[01]", "[0]", "expected a number without leading zeros", 1, 2),
    ("[-]", "[0]", "expected a JSON value, got -", 1, 2),
    ("[+1]", "[0]", "expected a JSON value, got +", 1, 2),
    ("[.5]", "[0]", "expected a JSON value, got '.'", 1, 2),
    ("[5.]", "[0]", "expected a digit after the decimal point, got ']'", 1, 4),
    ("[5e]", "[0]", "expected a digit in the exponent, got ']'", 1, 4),
    ("[0x10]", "", "expected ',' or ']', got x", 1, 3),
    ("[1,]", "[1]", "expected a JSON value, got ']'", 1, 4),
    ("{\"a\": 1,}", "", "expected a key in double quotes, got '}'", 1, 9),
    ("{a: 1}", "", "expected a key in double quotes, got a", 1, 2),
    ("{\"a\" 1}", "a", "expected ':', got '1'", 1, 6),
    ("{\"a\": 1, \"a\": 2}", "a", "expected each field once, got it twice", 1, 10),
    ("{\"a\": \"x", "a", "expected '\"' at the end of a string, got the end of the text", 1, 9),
    ("[\"\\x\"]", "[0]", "expected a valid escape sequence", 1, 3),
    ("[\"\\ud800\"]", "[0]", "expected a valid escape sequence", 1, 3),
    ("[\"\\u+123\"]", "[0]", "expected a valid escape sequence", 1, 3),
    ("[\"\\", "[0]", "expected a valid escape sequence", 1, 3),
    ("[\"a\nb\"]", "[0]", "expected a string without control characters, got '\n'", 1, 4),
    ("[1] x", "", "expected the end of the text, got x", 1, 5),
    ("// c\n[1]", "", "expected a JSON value, got '/'", 1, 1),
  ])
  func refusesWithPathAndPlace(
    text: String, path: String, expectation: String, line: Int, column: Int
  ) throws {
    let error = try #require(refusal(Array(text.utf8)))
    #expect(error == JSONError(path: path, expectation: expectation, line: line, column: column))
  }

  @Test func refusesOtherEncodings() throws {
    #expect(refusal([0x5B, 0xFF, 0x5D])?.expectation == "expected UTF-8, got the byte 0xFF")
    #expect(refusal([0x5B, 0xFF, 0x5D])?.column == 2)
    #expect(refusal([0xFF, 0xFE, 0x5B, 0, 0x5D, 0])?.expectation == "expected UTF-8, got the byte 0xFF")
    #expect(refusal([0x5B, 0, 0x5D, 0]) != nil)
    #expect(refusal(Array("[\"".utf8) + [0xC3, 0x22, 0x5D]) != nil)
  }

  @Test(arguments: ["[", "{\"a\":", "[{\"a\":"], [17, 100_000])
  func refusesDeepNesting(opening: String, levels: Int) throws {
    let error = try #require(refusal(Array(String(repeating: opening, count: levels).utf8)))
    #expect(error.expectation == "expected at most \(JSONParser.deepestNesting) levels of nesting")
    #expect(error.path.count <= 120)
  }

  @Test func refusesEveryTruncation() throws {
    let bytes = Array(#"{"schema": "a\u00e9b", "list": [1.5e3, -2, null, true, {"k": [[]]}]}"#.utf8)
    _ = try JSONParser.parse(bytes)
    for length in bytes.indices { #expect(refusal(Array(bytes[..<length])) != nil, "\(length) bytes") }
  }

  /// Whatever is accepted, Foundation accepts too, and reads the same; and nothing crashes.
  @Test func agreesWithFoundationOnMutations() throws {
    let seedText = Array(
      #"{"a": [1.5e3, -2, 0.25], "b": {"c": "x\n\u00e9"}, "d": [null, true, false, []]}"#.utf8)
    let alphabet = Array(#"{}[]",:.+-eE0123456789\untrfalse "#.utf8) + [0, 10, 0x80, 0xC3, 0xFF]
    var generator = Philox(seed: 2026)
    var accepted = 0
    for _ in 0..<20_000 {
      var bytes = seedText
      for _ in 0...Int.random(in: 0..<2, using: &generator) {
        let place = Int.random(in: bytes.indices, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: bytes[place] = alphabet[Int.random(in: alphabet.indices, using: &generator)]
        case 1: bytes.remove(at: place)
        default: bytes.insert(alphabet[Int.random(in: alphabet.indices, using: &generator)], at: place)
        }
      }
      guard let value = try? JSONParser.parse(bytes) else { continue }
      accepted += 1
      let text = String(decoding: bytes, as: UTF8.self)
      guard let theirs = try? DecodedJSON(text) else {
        // Foundation takes a zero with an exponent for a number that underflows, and refuses it.
        #expect(text.contains(/[^0-9.]0(\.0*)?[eE]/), "\(text)")
        continue
      }
      #expect(theirs == DecodedJSON(value), "\(text)")
      #expect(try JSONParser.parse(Array(JSONWriter.indented(value).utf8)) == value)
      #expect(try JSONParser.parse(Array(JSONWriter.line(value).utf8)) == value)
    }
    #expect(accepted > 1000)
  }
}

extension DecodedJSON {
  fileprivate init(_ value: JSONValue) {
    switch value {
    case .null: self = .null
    case .bool(let flag): self = .bool(flag)
    case .number(let number): self = .number(number)
    case .string(let text): self = .string(text)
    case .numbers(let numbers): self = .array(numbers.map { .number($0) })
    case .array(let values): self = .array(values.map { DecodedJSON($0) })
    case .object(let members):
      self = .object(Dictionary(members.map { ($0.key, DecodedJSON($0.value)) }) { first, _ in first })
    }
  }
}
