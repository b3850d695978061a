import FileFormats

extension String {
  /// The text in lines as wide as tables are; what follows the first is set in by two.
  package var wrapped: [String] { TextTable.wrap(onOneLine, width: TextTable.width) }

  /// The same lines, those wider than tables broken at spaces; an option and its value stay together.
  package var withFittingLines: String {
    split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
      guard line.count > TextTable.width else { return String(line) }
      let indentation = String(line.prefix { $0 == " " })
      let joined = String(line.dropFirst(indentation.count))
        .replacing(" <", with: "\u{A0}<").replacing(" ...", with: "\u{A0}...")
      return TextTable.wrap(joined, width: TextTable.width - indentation.count)
        .map { (indentation + $0).replacing("\u{A0}", with: " ") }.joined(separator: "\n")
    }.joined(separator: "\n")
  }
}
