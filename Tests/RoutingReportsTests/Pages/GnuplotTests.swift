import Testing

@testable import RoutingReports

/// Scripts for gnuplot. What real ones make of them `.ci/run` sees.
struct GnuplotTests {
  private static let hostile = "it's `touch x` \"; system('touch x') @a {b} \\ # <c>\nplot 1"

  private static func page(_ text: String) -> HTMLPage {
    HTMLPage(
      title: text,
      charts: [
        Chart(
          title: text, x: .init(text), y: .init(text, isLogarithmic: true),
          series: [
            .init(
              name: text, points: [.init(x: 1, y: 1e-5, name: text), .init(x: 0.1, y: 0, name: text)], isCurve: true,
              band: [(1e-6, 1e-4), (0, 1)]), .init(name: "points", points: [.init(x: .nan, y: 1, name: text)]),
          ])
      ],
      heatMaps: [HeatMap(title: text, corner: text, rows: [text], columns: ["a", text], values: [[0.1, nil]])],
      json: "{}")
  }

  /// Every text is one string in single quotes, in which a quote is doubled: whatever is in it, the script has the same commands.
  @Test func textsAreNoCommands() throws {
    func commands(_ text: String) throws -> String {
      let script = try #require(Self.page(text).gnuplot(.svg))
      var left = ""
      var isQuoted = false
      for character in script {
        if character == "'" { isQuoted.toggle() } else if !isQuoted { left.append(character) }
      }
      #expect(!isQuoted)
      return left
    }
    #expect(try commands(Self.hostile) == commands("plain"))
    #expect(try #require(Self.page(Self.hostile).gnuplot(.svg)).contains("'it''s `touch x`"))
  }

  /// What has no place on the axes is left out, of bands as well; the others are in full.
  @Test func numbersAreThoseOfTheChart() throws {
    let script = try #require(Self.page("t").gnuplot(.pdf))
    #expect(script.contains("$points0 << EOD\n1.0 1e-05\nEOD\n$band0 << EOD\n1.0 1e-06 0.0001\nEOD\n"))
    #expect(script.contains("$points1 << EOD\nNaN NaN\nEOD\n"))
    #expect(script.contains("set yrange [1e-6:1e0]") && script.contains("$boxes << EOD\n0 0 0.1\nEOD\n"))
    #expect(script.contains("0 0 \"0.100\"\n1 0 \"–\"\n"))
  }

  @Test func nothingToPlotIsNoScript() {
    #expect(
      HTMLPage(title: "t", charts: [Chart(title: "c", x: .init("x"), y: .init("y"), series: [])], json: "{}").gnuplot(
        .png) == nil)
  }

  @Test(arguments: [("a.svg", PlotFormat.svg), ("a.b.PNG", .png), (".pdf", .pdf), ("a.pdf.", nil), ("pdf", nil)])
  func formatsAreNamesEndings(name: String, format: PlotFormat?) {
    #expect(PlotFormat(fileName: name) == format)
  }
}
