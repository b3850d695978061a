import ArgumentParser
import RouteGrad

/// A picture beside the result.
struct PlotOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Draw the page's charts and heat maps to this file too, by gnuplot, which must be installed: a name that ends in .svg, .png or .pdf.",
      valueName: "file"), completion: .file(extensions: PlotFormat.allCases.map(\.rawValue)))
  var plot: String?

  /// A picture that is going to be drawn.
  struct Drawing {
    fileprivate var file: Output
    fileprivate var format: PlotFormat

    /// Draws it; the file stands under its name from now on. It comes after the result, which is not lost if there is no picture of it.
    ///
    /// - Throws: `Refusal` if there is nothing to draw, gnuplot fails, or the file cannot be completed; nothing is left then.
    func finish(_ page: HTMLPage) throws(Refusal) {
      guard let script = page.gnuplot(format) else {
        throw Refusal(.wrongData, "'--plot': there is nothing to draw: no two figures stand against each other")
      }
      let picture = try PlotOption.gnuplot(["-"], script)
      guard !picture.isEmpty else { throw Refusal(.noOutput, "'--plot': gnuplot: it drew nothing") }
      try file.finish(picture)
    }
  }

  /// What gnuplot says, without what a user has set. A picture takes a fraction of a second, one of thousands of points a few.
  ///
  /// - Throws: `Refusal` of code `noInput` if it cannot be started, `noOutput` if it fails.
  fileprivate static func gnuplot(_ arguments: [String], _ script: String) throws(Refusal) -> [UInt8] {
    do throws(Refusal) {
      return try ChildProcess.output(of: ["gnuplot", "-d"] + arguments, input: script, timeout: 300)
    } catch {
      throw Refusal(error.code == .noInput ? .noInput : .noOutput, "'--plot': \(error); it needs gnuplot 5.4 or later")
    }
  }

  /// Where the picture goes, and in which format; nil if none was asked for.
  ///
  /// - Throws: `Refusal` if it could not be written, or there is no gnuplot.
  func begin() throws(Refusal) -> Drawing? {
    guard let plot, let format = PlotFormat(fileName: plot) else { return nil }
    _ = try Self.gnuplot(["-e", "exit"], "")
    return Drawing(file: try Output(path: plot), format: format)
  }

  /// Throws if the name says no format, or another option names the same file.
  func validate(against others: (file: String?, option: String)...) throws {
    guard let plot else { return }
    guard PlotFormat(fileName: plot) != nil else {
      throw ValidationError("'--plot': expected a name that ends in .svg, .png or .pdf, got '\(plot)'")
    }
    for other in others where plot == other.file {
      throw ValidationError("'--plot' and '\(other.option)' cannot name the same file")
    }
  }
}
