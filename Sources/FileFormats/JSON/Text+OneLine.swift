extension String {
  /// The same text on one line: control characters are escaped as in Swift's string literals.
  package var onOneLine: String {
    var text = ""
    // What is no text in a file's name, too.
    for scalar in FileName.readable(self).unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .lineSeparator, .paragraphSeparator, .format: text += scalar.escaped(asASCII: true)
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
