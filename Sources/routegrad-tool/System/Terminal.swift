import CStandardLibrary
import RouteGrad

/// What the program says beside its results.
enum Terminal {
  /// Whether standard output is a terminal that shows colours, and its user wants them (no-color.org).
  static var hasColours: Bool {
    isatty(STDOUT_FILENO) == 1 && variable("NO_COLOR").isEmpty && !["", "dumb"].contains(variable("TERM"))
  }

  /// One line on standard error.
  static func complain(_ text: String) { show(text.onOneLine + "\n") }

  /// Text on standard error, as it is; what cannot be written there cannot be complained about either.
  static func show(_ text: String) {
    var text = text
    text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  private static func variable(_ name: String) -> String {
    getenv(name).map { String(cString: $0) } ?? ""
  }
}
