import ArgumentParser
import RouteGrad

/// What results are written as, and where to.
struct OutputOptions: ParsableArguments {
  @Option(help: "The format of the result.")
  var format: OutputFormat = .table

  @Option(help: ArgumentHelp("Write to this file instead of standard output.", valueName: "file"))
  var output: String?

  /// Colours, if the result is a table that goes to a terminal which has them.
  var style: TextStyle { output == nil && Terminal.hasColours ? .coloured : .plain }
}

extension OutputFormat: ExpressibleByArgument {}
