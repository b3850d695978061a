import FileFormats
import RoutingCore

/// What a plot is written as.
package enum PlotFormat: String, Sendable, CaseIterable {
  case svg
  case png
  case pdf

  /// The format that a file's name ends in; nil if it is none of them.
  package init?(fileName: String) {
    guard let dot = fileName.lastIndex(of: "."), let format = Self(rawValue: fileName[dot...].dropFirst().lowercased())
    else { return nil }
    self = format
  }
}

extension HTMLPage {
  /// The page's charts and heat maps, one below the other, as a script for gnuplot 5.4 and later that writes the picture to standard output; nil if
  /// there is nothing to plot.
  ///
  /// Texts are quoted so that gnuplot takes nothing in them for a command, a substitution or markup. It is told every range and gets every
  /// number in full; what has no place on a page's axes has none here.
  package func gnuplot(_ format: PlotFormat) -> String? {
    let plots = charts.filter { !$0.isEmpty }.map(\.gnuplot) + heatMaps.filter { !$0.isEmpty }.map(\.gnuplot)
    guard !plots.isEmpty else { return nil }
    let terminal =
      switch format {
      case .svg: "svg noenhanced size 720,\(420 * plots.count) dynamic background '#ffffff'"
      case .png: "pngcairo noenhanced size 1440,\(840 * plots.count) fontscale 1.8"
      case .pdf: "pdfcairo noenhanced size 6in,\(Figures.short(3.5 * Double(plots.count), digits: 8))in fontscale 0.5"
      }
    // Commas and points as in JSON, whatever the locale.
    return
      "set encoding utf8\nset decimalsign '.'\nset terminal \(terminal)\nset style fill transparent solid 0.18 noborder\nset pointsize 1.4\n"
      + "set multiplot layout \(plots.count),1\n" + plots.joined() + "unset multiplot\n"
  }
}

extension Chart {
  /// Settings and one plot command.
  fileprivate var gnuplot: String {
    let (across, up) = ticks
    var data = ""
    var drawings: [String] = []
    for (place, series) in series.enumerated() {
      let k = series.look ?? place
      let points = series.points.filter { x.place($0.x) != nil && y.place($0.y) != nil }
      // A series without a place still has its line of the legend.
      data += "$points\(place) << EOD\n" + (points.isEmpty ? "NaN NaN\n" : "")
      data += points.map { "\($0.x) \($0.y)\n" }.joined() + "EOD\n"
      let colour = "lc rgb '\(Self.colours[k % Self.colours.count])'"
      if series.isCurve, series.band.count == series.points.count {
        let edges = zip(series.points, series.band).filter { point, band in
          x.place(point.x) != nil && y.place(band.low) != nil && y.place(band.high) != nil
        }
        if !edges.isEmpty {
          data += "$band\(place) << EOD\n" + edges.map { "\($0.x) \($1.low) \($1.high)\n" }.joined() + "EOD\n"
          drawings.append("$band\(place) using 1:2:3 with filledcurves \(colour) notitle")
        }
      }
      let way = series.isCurve ? "lines lw 1.5 \(colour)" : "points pt \(Self.shapes[(k + k / 8) % 4]) \(colour)"
      drawings.append("$points\(place) using 1:2 with \(way) title \(series.name.gnuplot)")
    }
    return data + """
      unset colorbox
      set key outside right top Left reverse
      set grid
      set xtics auto norotate
      set ytics auto
      set title \(title.gnuplot)
      set xlabel \(x.title.gnuplot)
      set ylabel \(y.title.gnuplot)
      \(x.gnuplot("x", across.range))
      \(y.gnuplot("y", up.range))
      plot \(drawings.joined(separator: ", "))

      """
  }

  /// A page's colours on white.
  private static let colours = [
    "#0550ae", "#b35900", "#1a7f37", "#a40e26", "#6639ba", "#7a5c00", "#0e7490", "#a0307c",
  ]

  /// Circles, squares, triangles and diamonds, filled, in the order of a page's.
  private static let shapes = [7, 5, 9, 13]
}

extension Chart.Axis {
  /// Scale and range; `range` has logarithms where the axis is logarithmic.
  fileprivate func gnuplot(_ axis: String, _ range: ClosedRange<Double>) -> String {
    func end(_ x: Double) -> String { isLogarithmic ? "1e\(Int(x))" : "\(x)" }
    return
      (isLogarithmic
      ? "set logscale \(axis) 10\nset format \(axis) '%.0e'\n" : "unset logscale \(axis)\nset format \(axis) '%g'\n")
      + "set \(axis)range [\(end(range.lowerBound)):\(end(range.upperBound))]"
  }
}

extension HeatMap {
  /// Settings and one plot command: a box for each number, with the number in it.
  fileprivate var gnuplot: String {
    var boxes = ""
    var labels = ""
    for (r, row) in values.enumerated() {
      for (c, value) in row.enumerated() {
        if let value, value.isFinite { boxes += "\(c) \(r) \(value)\n" }
        labels += "\(c) \(r) \"\(Self.figure(value))\"\n"
      }
    }
    func ticks(_ names: [String]) -> String {
      names.enumerated().map { "\($1.gnuplot) \($0)" }.joined(separator: ", ")
    }
    let top = range.upperBound > range.lowerBound ? range.upperBound : range.lowerBound + 1
    return """
      $boxes << EOD
      \(boxes)EOD
      $labels << EOD
      \(labels)EOD
      unset logscale x
      unset logscale y
      unset key
      unset grid
      set title \(title.gnuplot)
      unset xlabel
      set ylabel \(corner.gnuplot)
      set xtics (\(ticks(columns))) rotate by -30
      set ytics (\(ticks(rows)))
      set xrange [-0.5:\(columns.count).0-0.5]
      set yrange [\(rows.count).0-0.5:-0.5]
      set palette defined (0 '#ffffff', 1 '#7db4f0')
      set cbrange [\(range.lowerBound):\(top)]
      plot $boxes using 1:2:($1-0.5):($1+0.5):($2-0.5):($2+0.5):3 with boxxyerror fs solid 1 lc palette, \
      $labels using 1:2:3 with labels

      """
  }
}

extension String {
  /// The text as a string of gnuplot, in single quotes: nothing in it is special but the quote, which is doubled.
  fileprivate var gnuplot: String { "'\(onOneLine.replacing("'", with: "''"))'" }
}
