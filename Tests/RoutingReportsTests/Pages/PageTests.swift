import FileFormats
import Foundation
import RoutingCore
import Testing

@testable import RoutingReports

/// Pages for browsers: what is in them, and that nothing in them is taken for markup.
struct PageTests {
  private static let hostile = "</script><script>alert(1)</script> & \"quoted\" <b>"

  @Test func nothingIsTakenForMarkup() throws {
    let table = TextTable(
      columns: [.init(title: "a\n<i>", isText: true), .init(title: "b")],
      rows: [.init(cells: [Self.hostile, "1"]), .init(cells: ["  vs", "2"], isSecondary: true)])
    let json = JSONWriter.indented(["text": .string(Self.hostile), "n": .number(0.1)])
    let page = HTMLPage(
      title: Self.hostile,
      charts: [
        Chart(
          title: Self.hostile, x: .init("<x>"), y: .init("y"),
          series: [.init(name: Self.hostile, points: [.init(x: 1, y: 2, name: Self.hostile)])])
      ],
      heatMaps: [
        HeatMap(
          title: Self.hostile, corner: Self.hostile, rows: [Self.hostile, "b"], columns: [Self.hostile],
          values: [[1], [nil]])
      ],
      sections: [TextSection(title: Self.hostile, facts: Self.hostile, table: table, notes: [Self.hostile])],
      details: [TextSection(title: Self.hostile, table: table)], json: json
    ).text
    // Two scripts of the page's own, and no element that a text brought along.
    #expect(page.ranges(of: "<script").count == 2 && page.ranges(of: "</script>").count == 2)
    #expect(!page.contains("<b>") && !page.contains("<i>") && !page.contains("<x>"))
    #expect(page.contains("tr class=\"secondary\""))
    // The result comes back as it was.
    let start = try #require(page.firstRange(of: "id=\"data\">"))
    let end = try #require(page[start.upperBound...].firstRange(of: "</script>"))
    let data = String(page[start.upperBound..<end.lowerBound])
    #expect(try JSONParser.parse(Array(data.utf8)) == JSONParser.parse(Array(json.utf8)))
    // Nothing is loaded from anywhere.
    #expect(!page.contains("http://") && !page.contains("https://") && !page.contains("src="))
  }

  @Test func everyOpenedElementIsClosed() {
    let table = TextTable(columns: [.init(title: "a", isText: true)], rows: [.init(cells: ["1"])])
    let points = (0..<5).map { Chart.Point(x: Double($0), y: Double($0 * $0) + 1, name: "p\($0)") }
    let series = (0..<20).map { k in
      Chart.Series(
        name: "s\(k)", points: points, isCurve: k % 2 == 0,
        band: k % 4 == 0 ? points.map { ($0.y * 0.9, $0.y * 1.1) } : [])
    }
    let text = HTMLPage(
      title: "t", charts: [Chart(title: "c", x: .init("x"), y: .init("y", isLogarithmic: true), series: series)],
      sections: [TextSection(title: "s", table: table, notes: ["n"])], details: [TextSection(title: "d", table: table)],
      json: "{}"
    ).text
    for name in [
      "html", "head", "body", "main", "header", "section", "details", "summary", "table", "tr", "th", "figure",
      "svg", "g", "text", "ul", "li", "p", "button", "style", "title", "div",
    ] {
      let opened = text.ranges(of: "<\(name)>").count + text.ranges(of: "<\(name) ").count
      #expect(opened == text.ranges(of: "</\(name)>").count, "\(name)")
      #expect(opened > 0, "\(name)")
    }
  }

  private static let sizes = [
    0, -0.0, 5e-324, -5e-324, 1e-300, 1e-15, 0.1, 1, 1 + Double.ulpOfOne, 3, 1e16, 1e16 + 2, -1e300, 1e308,
    Double.greatestFiniteMagnitude, -Double.greatestFiniteMagnitude, .infinity, -.infinity, .nan,
  ]

  /// Any two numbers span an axis: ticks are finite, rise, and have every number between the first and the last.
  @Test(arguments: sizes, [false, true])
  func axesTakeEveryNumber(first: Double, isLogarithmic: Bool) {
    let axis = Chart.Axis("x", isLogarithmic: isLogarithmic)
    for second in Self.sizes {
      let places = [first, second].compactMap(axis.place)
      let ticks = Ticks(places, isLogarithmic: isLogarithmic)
      #expect(ticks.range.lowerBound.isFinite && ticks.range.upperBound.isFinite)
      #expect(ticks.range.lowerBound < ticks.range.upperBound, "\(first), \(second)")
      #expect((2...13).contains(ticks.values.count) && ticks.values.allSatisfy(\.isFinite))
      // What rounding moves is no distance in a drawing.
      let slack = 1e-9 * (ticks.range.upperBound - ticks.range.lowerBound)
      let range = ticks.range.lowerBound - slack...ticks.range.upperBound + slack
      for place in places { #expect(range.contains(place), "\(first), \(second)") }
      let chart = Chart(
        title: "", x: axis, y: axis,
        series: [.init(name: "", points: [.init(x: first, y: second, name: ""), .init(x: second, y: first, name: "")])])
      let text = chart.html
      #expect(!text.contains("=\"–") && !text.contains("∞\"") && !text.contains("nan"), "\(first), \(second)")
    }
  }

  @Test func ticksAreRound() {
    #expect(
      Ticks([0, 0.93], isLogarithmic: false).values.map { ($0 * 1e6).rounded() / 1e6 } == [0, 0.2, 0.4, 0.6, 0.8, 1])
    #expect(Ticks([-3.2, 1.1], isLogarithmic: true).values == [-4, -3, -2, -1, 0, 1, 2])
    #expect(Ticks([-3, 1], isLogarithmic: true).label(-3) == "1e-3")
    #expect(Ticks([], isLogarithmic: false).range == 0...1)
  }
}
