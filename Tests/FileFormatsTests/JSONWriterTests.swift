import RoutingCore
import Testing

@testable import FileFormats

struct JSONWriterTests {
  @Test func numbersReadBackToTheSameBits() throws {
    var generator = Philox(seed: 7)
    let special = [
      0, -0.0, 1, -1, 0x1p53, 0x1p53 + 2, 0.1, .leastNonzeroMagnitude, -1000 * .leastNonzeroMagnitude,
      .leastNormalMagnitude,
      .greatestFiniteMagnitude,
      1e15, 1e16, 1e22, 123456.75,
    ]
    let random = (0..<20_000).map { _ in Double(bitPattern: generator.next()) }.filter(\.isFinite)
    for number in special + random {
      let text = JSONWriter.number(number)
      guard case .number(let back) = try JSONParser.parse(Array(text.utf8)) else {
        Issue.record("\(text) is no number")
        continue
      }
      #expect(back.bitPattern == number.bitPattern, "\(text)")
    }
  }

  @Test(arguments: [(0.0, "0"), (-0.0, "-0.0"), (3.0, "3"), (-2.0, "-2"), (0.5, "0.5"), (1e300, "1e+300")])
  func numbersAreShort(number: Double, text: String) {
    #expect(JSONWriter.number(number) == text)
  }

  @Test(arguments: [Double.infinity, -.infinity, .nan])
  func whatJSONCannotHoldIsNull(number: Double) {
    #expect(JSONWriter.number(number) == "null")
    #expect(JSONWriter.line(.numbers([1, number])) == "[1, null]")
  }

  @Test func textIsEscaped() {
    #expect(JSONWriter.line("a\"\\\n\t\u{1}é\u{2028}") == #""a\"\\\n\t\u0001é\u2028""#)
  }

  @Test func layoutKeepsTheOrderOfFields() {
    let value: JSONValue = [
      "z": .numbers([1, 2]), "a": .array([["k": .null], ["k": .bool(true)]]),
      "m": .array([.numbers([1]), .numbers([2])]), "o": .object([]), "e": .array([]),
    ]
    #expect(
      JSONWriter.line(value)
        == #"{"z": [1, 2], "a": [{"k": null}, {"k": true}], "m": [[1], [2]], "o": {}, "e": []}"#)
    #expect(
      JSONWriter.indented(value) == """
        {
         "z": [1, 2],
         "a": [
          {
           "k": null
          },
          {
           "k": true
          }
         ],
         "m": [[1], [2]],
         "o": {},
         "e": []
        }

        """)
  }
}
