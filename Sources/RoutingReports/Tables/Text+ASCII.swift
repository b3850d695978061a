extension String {
  /// The text for terminals and logs that take nothing but ASCII: mathematical signs as they are typed on a keyboard, any
  /// other character as its escape sequence `\u{…}`.
  package var inASCII: String {
    guard utf8.contains(where: { $0 >= 0x80 }) else { return self }
    var text = ""
    for scalar in unicodeScalars {
      if scalar.isASCII {
        text.unicodeScalars.append(scalar)
      } else {
        text += Self.spellings[scalar] ?? scalar.escaped(asASCII: true)
      }
    }
    return text
  }

  /// How the characters that the program itself uses are typed.
  private static let spellings: [Unicode.Scalar: String] = [
    "∇": "grad", "‖": "||", "ĝ": "g", "\u{302}": "", "·": ".", "√": "sqrt ", "−": "-", "–": "-", "—": "-", "…": "...",
    "×": "x", "±": "+-", "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∞": "inf", "∫": "int",
    "∈": "in", "∂": "d", "Σ": "sum", "∑": "sum", "Π": "prod", "½": "1/2", "¼": "1/4", "⅓": "1/3", "⊙": "*", "⟨": "<",
    "⟩": ">", "‘": "'", "’": "'", "“": "\"", "”": "\"", "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta",
    "Δ": "Delta", "ε": "eps", "η": "eta", "θ": "theta", "λ": "lambda", "μ": "mu", "π": "pi", "σ": "sigma", "τ": "tau",
    "ω": "omega", "ζ": "zeta", "ℓ": "l", "⁰": "^0", "¹": "^1", "²": "^2", "³": "^3", "⁴": "^4", "⁵": "^5", "⁶": "^6",
    "⁷": "^7", "⁸": "^8", "⁹": "^9", "₀": "0", "₁": "1", "₂": "2", "\u{A0}": " ",
  ]

  /// The columns that a terminal gives the text: two to wide characters (East Asian ones, pictures), none to combining
  /// marks, one to the rest. The C library's `wcwidth` knows this only while its locale has the characters.
  var terminalWidth: Int {
    guard utf8.contains(where: { $0 >= 0x80 }) else { return utf8.count }
    return reduce(0) { $0 + $1.terminalWidth }
  }

  /// The longest beginning of the text within so many columns, an ellipsis at its end if something was cut off.
  func fitted(to width: Int, ellipsis: String) -> String {
    guard terminalWidth > width else { return self }
    var (text, used) = ("", 0)
    for character in self {
      guard used + character.terminalWidth <= width - ellipsis.count else { break }
      text.append(character)
      used += character.terminalWidth
    }
    return text + ellipsis
  }
}

extension Character {
  fileprivate var terminalWidth: Int {
    unicodeScalars.reduce(0) { width, scalar in max(width, Self.width(of: scalar)) }
  }

  private static func width(of scalar: Unicode.Scalar) -> Int {
    switch scalar.value {
    case 0..<0x300: return 1
    case 0x1100...0x115F, 0x2E80...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
      0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
      return 2
    default:
      switch scalar.properties.generalCategory {
      case .nonspacingMark, .enclosingMark, .format: return 0
      default: return 1
      }
    }
  }
}
