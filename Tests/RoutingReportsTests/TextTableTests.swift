import FileFormats
import Testing

@testable import RoutingReports

struct TextTableTests {
  private let table = TextTable(
    columns: [.init(title: "name", isText: true), .init(title: "two\nlines"), .init(title: "n")],
    rows: [.init(cells: ["a", "1.5", "10"]), .init(cells: ["  vs long", "–", "9"], isSecondary: true)])

  @Test func alignsColumns() {
    #expect(
      table.text(indentation: 1, style: .plain) == """
        \("")              two
         name       lines   n
         a            1.5  10
           vs long      –   9

        """)
  }

  @Test func coloursWhatItIsAskedTo() {
    let text = table.text(style: .coloured)
    #expect(text.contains("\u{1B}[1mname"))
    #expect(text.contains("\u{1B}[2m  vs long"))
    #expect(!table.text(style: .plain).contains("\u{1B}"))
  }

  @Test func writesMarkdown() {
    #expect(
      table.markdown == """
        | name | two lines | n |
        | :-- | --: | --: |
        | a | 1.5 | 10 |
        |   vs long | – | 9 |

        """)
    #expect("a|b_`<c>\n".markdown == #"a\|b\_\`\<c\>\\n"#)
  }

  @Test func wrapsTextThatDoesNotFit() {
    var wide = table
    let long = "reinforce:baseline=leave-one-out,samples=1000," + String(repeating: "x", count: 60)
    wide.rows.append(.init(cells: [long, "1", "2"]))
    let lines = wide.text(indentation: 2, style: .plain).split(separator: "\n")
    #expect(lines.allSatisfy { $0.count <= TextTable.width })
    #expect(lines.count == 6)
    #expect(lines[4].hasPrefix("  reinforce:baseline=leave-one-out,samples=1000,  "))
    #expect(lines[5].hasPrefix("    xxxx"))
  }

  @Test(arguments: [
    ("short", 10, ["short"]), ("one two three", 8, ["one two ", "  three"]),
    ("a,b,c,d", 4, ["a,b,", "  c,", "  d"]),
    ("abcdefgh", 5, ["abcde", "  fgh"]), ("", 5, [""]),
  ])
  func wraps(text: String, width: Int, lines: [String]) {
    #expect(
      TextTable.wrap(text, width: width).map { $0.trimmingSuffix { $0 == " " } }
        == lines.map { $0.trimmingSuffix { $0 == " " } })
  }

  @Test func textStaysOnOneLine() {
    #expect("a\nb\u{1B}[0m\u{202E}é😀".onOneLine == "a\\nb\\u{1B}[0m\\u{202E}é😀")
  }
}

extension String {
  fileprivate func trimmingSuffix(while predicate: (Character) -> Bool) -> String {
    var text = self
    while let last = text.last, predicate(last) { text.removeLast() }
    return text
  }
}
