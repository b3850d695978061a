import FileFormats

extension String {
  /// The text for LaTeX, on one line: what it would take for a command is escaped, mathematical signs are in mathematics, and letters beyond
  /// Latin, which not every engine has, are the escape sequence `\u{…}`.
  package var latex: String {
    var text = ""
    var last: Unicode.Scalar?
    for scalar in onOneLine.unicodeScalars {
      // Two of these would run into one sign: "--" is a dash, "?`" is "¿".
      if let last, scalar == last || scalar == "`", Self.running.contains(scalar), Self.running.contains(last) {
        text += "{}"
      }
      text += Self.latex(of: scalar)
      last = scalar
    }
    return text
  }

  private static let running: Set<Unicode.Scalar> = ["-", "'", "`", ",", "?", "!"]

  private static func latex(of scalar: Unicode.Scalar) -> String {
    if let command = commands[scalar] { return command }
    if let sign = signs[scalar] { return "$\(sign)$" }
    // Latin-1's letters and those of Latin Extended-A, which every engine has.
    if scalar.isASCII || (0xC0...0x17F).contains(scalar.value) { return String(scalar) }
    return scalar.escaped(asASCII: true).unicodeScalars.map { commands[$0] ?? String($0) }.joined()
  }

  private static let commands: [Unicode.Scalar: String] = [
    "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "$": "\\$", "&": "\\&", "#": "\\#", "%": "\\%", "_": "\\_",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "\"": "''", "–": "--", "—": "---", "…": "\\dots{}", "\u{A0}": "~", "‘": "`", "’": "'", "“": "``", "”": "''",
    // Both have a mathematical sign in the first table of most fonts' encodings, and none in mathematics.
    "ĝ": "$\\hat g$", "\u{302}": "", "[": "{[}", "]": "{]}",
  ]

  private static let signs: [Unicode.Scalar: String] = [
    "∇": "\\nabla", "‖": "\\|", "·": "\\cdot", "√": "\\surd", "−": "-", "×": "\\times", "±": "\\pm", "→": "\\to",
    "←": "\\leftarrow", "≤": "\\le", "≥": "\\ge", "≠": "\\ne", "≈": "\\approx", "∞": "\\infty", "∫": "\\int",
    "∈": "\\in",
    "∂": "\\partial", "Σ": "\\Sigma", "∑": "\\sum", "Π": "\\Pi", "½": "\\frac12", "¼": "\\frac14", "⅓": "\\frac13",
    "⊙": "\\odot", "⟨": "\\langle", "⟩": "\\rangle", "α": "\\alpha", "β": "\\beta", "γ": "\\gamma", "δ": "\\delta",
    "Δ": "\\Delta", "ε": "\\varepsilon", "η": "\\eta", "θ": "\\theta", "λ": "\\lambda", "μ": "\\mu", "π": "\\pi",
    "σ": "\\sigma", "τ": "\\tau", "ω": "\\omega", "ζ": "\\zeta", "ℓ": "\\ell", "⁰": "^0", "¹": "^1", "²": "^2",
    "³": "^3",
    "⁴": "^4", "⁵": "^5", "⁶": "^6", "⁷": "^7", "⁸": "^8", "⁹": "^9", "₀": "_0", "₁": "_1", "₂": "_2",
  ]

  /// A cell of numbers: signs and powers of ten as mathematics has them.
  fileprivate var latexNumbers: String {
    var text = ""
    var rest = Substring(self)
    while let match = rest.firstMatch(of: /-?[0-9]+(?:\.[0-9]+)?(?:e(-?[0-9]+))?/) {
      text += String(rest[..<match.range.lowerBound]).latex
      if let power = match.1 {
        text += "$\(match.0.prefix { $0 != "e" })\\times10^{\(power)}$"
      } else {
        text += match.0.hasPrefix("-") ? "$\(match.0)$" : match.0
      }
      rest = rest[match.range.upperBound...]
    }
    return text + String(rest).latex
  }
}

extension TextTable {
  /// A `tabular` of the package booktabs.
  var latex: String {
    func line(_ cells: [String]) -> String { "    \(cells.joined(separator: " & ")) \\\\\n" }
    var text = "  \\begin{tabular}{\(columns.map { $0.isText ? "l" : "r" }.joined())}\n    \\toprule\n"
    text += line(columns.map { $0.title.split(separator: "\n").joined(separator: " ").latex })
    text += "    \\midrule\n"
    for row in rows {
      text += line(
        zip(columns, row.cells).map { column, cell in
          guard column.isText else { return cell.latexNumbers }
          let content = cell.drop { $0 == " " }
          return (content.startIndex > cell.startIndex ? "\\quad " : "") + String(content).latex
        })
    }
    return text + "    \\bottomrule\n  \\end{tabular}\n"
  }
}

extension TextSection {
  /// What stands before LaTeX.
  package static let latexBeginning = "% Needs \\usepackage{booktabs}.\n"

  /// LaTeX: a table that floats, its notes below it, or paragraphs.
  package var latex: String {
    let notes = notes.map(\.latex)
    guard let table else {
      let title = title.map { "\\paragraph{\($0.latex)}\n" } ?? ""
      return title + ((facts.map { [$0.latex] } ?? []) + notes).map { "\($0)\n" }.joined(separator: "\n")
    }
    var text = "\\begin{table}[htbp]\n  \\centering\n"
    let caption = [title, facts].compactMap { $0?.latex }.joined(separator: ": ")
    if !caption.isEmpty { text += "  \\caption{\(caption)}\n" }
    text += table.latex
    for note in notes { text += "  \\par\\smallskip{\\footnotesize \(note)\\par}\n" }
    return text + "\\end{table}\n"
  }

  /// Sections as LaTeX.
  package static func latex(_ sections: [TextSection]) -> String {
    latexBeginning + sections.map(\.latex).joined(separator: "\n")
  }
}
