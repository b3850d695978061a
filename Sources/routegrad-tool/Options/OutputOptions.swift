import ArgumentParser
import RouteGrad

/// What results are written as, and where to.
struct OutputOptions: ParsableArguments {
  @Option(help: "The format of the result.")
  var format: OutputFormat = .table

  @Option(help: ArgumentHelp("Write to this file instead of standard output.", valueName: "file"), completion: .file())
  var output: String?

  /// Colours, if the result is a table that goes to a terminal which has them; the characters of the locale in tables.
  var style: TextStyle {
    TextStyle(
      isColoured: output == nil && Terminal.hasColours, isASCII: format == .table && !Terminal.isUTF8)
  }
}

extension OutputFormat: ExpressibleByArgument {}
