import RoutingCore
import Testing

@testable import RoutingReports

/// LaTeX of tables: every character that it would take for a command is escaped. `.ci/run` needs no LaTeX; docs/CONTRIBUTING.md says how one was tried.
struct LaTeXTests {
  @Test(arguments: [
    ("a\\b", "a\\textbackslash{}b"), ("{x}", "\\{x\\}"), ("$&#%_", "\\$\\&\\#\\%\\_"),
    ("~^", "\\textasciitilde{}\\textasciicircum{}"),
    ("<|>", "\\textless{}\\textbar{}\\textgreater{}"), ("--details", "-{}-details"), ("a-b-c", "a-b-c"),
    ("?`!`", "?{}`!{}`"),
    ("''``,,", "'{}'{}`{}`,{},"), ("∇ ‖ĝ‖²", "$\\nabla$ $\\|$$\\hat g$$\\|$$^2$"), ("é ŝ", "é ŝ"),
    ("日", "\\textbackslash{}u\\{65E5\\}"),
    ("a\nb", "a\\textbackslash{}nb"), ("\\input{/etc/passwd}", "\\textbackslash{}input\\{/etc/passwd\\}"),
    ("[b]", "{[}b{]}"), ("", ""),
  ])
  func textsAreNoCommands(text: String, latex: String) {
    #expect(text.latex == latex)
  }

  /// No ASCII character is left that LaTeX reads as anything but itself, and braces match.
  @Test func noCharacterIsACommand() {
    for value in UInt8.min...0x7F {
      let text = "a\(Character(Unicode.Scalar(value)))b".latex
      #expect(!text.contains("\n"))
      var depth = 0
      var rest = Substring(text)
      while let character = rest.popFirst() {
        if character == "\\" {
          // A command of letters, or of one sign.
          let letters = rest.prefix(while: \.isLetter)
          rest = rest.dropFirst(max(letters.count, 1))
        } else {
          #expect(!"$&#%_~^<>|\"".contains(character), "\(value)")
          depth += character == "{" ? 1 : character == "}" ? -1 : 0
          #expect(depth >= 0)
        }
      }
      #expect(depth == 0, "\(value)")
    }
  }

  @Test func aTableIsOneOfBooktabs() {
    let table = TextTable(
      columns: [.init(title: "estimator", isText: true), .init(title: "rel.\nbias"), .init(title: "wins")],
      rows: [
        .init(cells: ["reinmax_2", "-1.5e-7", "3/4"]),
        .init(cells: ["  vs t", Figures.undefined, "∞"], isSecondary: true),
        .init(cells: ["x", "0.1 [-0.2, 3e5]", "<0.001"]),
      ])
    let section = TextSection(title: "50 %", facts: "f", table: table, notes: ["a & b"])
    #expect(
      section.latex == """
        \\begin{table}[htbp]
          \\centering
          \\caption{50 \\%: f}
          \\begin{tabular}{lrr}
            \\toprule
            estimator & rel. bias & wins \\\\
            \\midrule
            reinmax\\_2 & $-1.5\\times10^{-7}$ & 3/4 \\\\
            \\quad vs t & -- & $\\infty$ \\\\
            x & 0.1 {[}$-0.2$, $3\\times10^{5}${]} & \\textless{}0.001 \\\\
            \\bottomrule
          \\end{tabular}
          \\par\\smallskip{\\footnotesize a \\& b\\par}
        \\end{table}

        """)
    #expect(TextSection(title: "t", notes: ["n"]).latex == "\\paragraph{t}\nn\n")
  }
}
