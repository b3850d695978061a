extension String {
  /// The text in lines as wide as tables are; what follows the first is set in by two.
  package var wrapped: [String] { TextTable.wrap(onOneLine, width: TextTable.width) }

  /// The same text on one line: control characters are escaped as in Swift's string literals.
  public var onOneLine: String {
    var text = ""
    for scalar in unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .lineSeparator, .paragraphSeparator, .format: text += scalar.escaped(asASCII: true)
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
