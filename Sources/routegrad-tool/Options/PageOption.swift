import ArgumentParser
import RouteGrad

/// A page beside the result.
struct PageOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Write the result to this file too, as a page for browsers: tables that sort, charts, and all numbers as JSON.",
      valueName: "file"), completion: .file(extensions: ["html"]))
  var html: String?

  /// Where the page goes; nil if none was asked for.
  ///
  /// - Throws: `Refusal` if it could not be written.
  func begin() throws(Refusal) -> Output? {
    guard let html else { return nil }
    return try Output(path: html)
  }

  /// Throws if another option names the same file.
  func validate(against other: String?, _ name: String) throws {
    if let html, html == other { throw ValidationError("'--html' and '\(name)' cannot name the same file") }
  }
}
