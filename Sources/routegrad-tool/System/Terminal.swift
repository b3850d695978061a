import CStandardLibrary
import RouteGrad

/// What the program says beside its results.
enum Terminal {
  /// Whether standard output is a terminal that shows colours, and its user wants them (no-color.org).
  static var hasColours: Bool {
    isatty(STDOUT_FILENO) == 1 && variable("NO_COLOR").isEmpty && !["", "dumb"].contains(variable("TERM"))
  }

  /// Whether text for people may hold more than ASCII: what the environment's locale says (`LC_ALL`, `LC_CTYPE`, `LANG`, the
  /// first that is set), by its C library or, where that lacks the locale, by its name.
  static let isUTF8: Bool = {
    if setlocale(LC_CTYPE, "") != nil { return String(cString: nl_langinfo(Int32(CODESET))) == "UTF-8" }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(variable).first { !$0.isEmpty } ?? ""
    return locale.uppercased().contains("UTF-8") || locale.uppercased().contains("UTF8")
  }()

  /// How text for people is set on standard output.
  static var style: TextStyle { TextStyle(isColoured: hasColours, isASCII: !isUTF8) }

  /// Text for people in the characters of the locale.
  static func characters(_ text: String) -> String { isUTF8 ? text : text.inASCII }

  /// One line on standard error, of at most 1000 characters: what it is about may be any length, and its end says what is wrong.
  static func complain(_ text: String) {
    let line = text.onOneLine
    show((line.count > 1000 ? line.prefix(500) + "…" + line.suffix(499) : line) + "\n")
  }

  /// Text on standard error; what cannot be written there cannot be complained about either.
  static func show(_ text: String) {
    var text = characters(text)
    text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  private static func variable(_ name: String) -> String {
    getenv(name).map { String(cString: $0) } ?? ""
  }
}
