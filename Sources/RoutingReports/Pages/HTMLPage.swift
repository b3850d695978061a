import FileFormats
import RoutingCore

/// A result as one file that any browser opens: tables that sort, charts with their numbers, and the result itself as JSON.
///
/// The page loads nothing from anywhere, follows the reader's choice of light or dark, and is read on a narrow screen, on
/// paper and without a mouse: charts are SVG whose marks can be reached by keyboard, titles of columns are buttons.
package struct HTMLPage {
  /// What it is about.
  package var title: String
  /// Charts, before the tables.
  package var charts: [Chart] = []
  /// Tables of shaded numbers, after the charts.
  package var heatMaps: [HeatMap] = []
  /// Tables and notes.
  package var sections: [TextSection] = []
  /// Tables that are closed until they are asked for.
  package var details: [TextSection] = []
  /// The result in its JSON format, every number in full.
  package var json: String

  package init(
    title: String, charts: [Chart] = [], heatMaps: [HeatMap] = [], sections: [TextSection] = [],
    details: [TextSection] = [], json: String
  ) {
    self.title = title
    self.charts = charts
    self.heatMaps = heatMaps
    self.sections = sections
    self.details = details
    self.json = json
  }

  /// The file.
  package var text: String {
    var body = "<header><h1>\(title.html)</h1>"
    body +=
      "<p>RouteGrad \(routeGradVersion.html) <button id=\"save\" type=\"button\">Save as JSON</button></p></header>\n"
    let charts = charts.filter { !$0.isEmpty }
    if !charts.isEmpty { body += "<section class=\"charts\">\n\(charts.map(\.html).joined())</section>\n" }
    body += heatMaps.filter { !$0.isEmpty }.map(\.html).joined()
    body += sections.map { $0.html(isClosed: false) }.joined()
    body += details.map { $0.html(isClosed: true) }.joined()
    // Within a script element only its end and comments' beginnings mean anything, and both have "<". Lines and indentation, a tenth of
    // all, are left out; within a string there are no line feeds.
    let data = json.split(separator: "\n").map { $0.drop { $0 == " " } }.joined().replacing("<", with: "\\u003c")
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="generator" content="RouteGrad \(routeGradVersion)">
      <title>\(title.html)</title>
      <link rel="icon" href="data:,">
      <style>\n\(Self.style)\(Self.shades)</style>
      </head>
      <body>
      <main>
      \(body)</main>
      <script type="application/json" id="data">\n\(data)</script>
      <script>\n\(Self.script)</script>
      </body>
      </html>

      """
  }
}

extension TextSection {
  /// The section as an element.
  ///
  /// - Parameter isClosed: whether it shows its title alone until it is opened.
  fileprivate func html(isClosed: Bool) -> String {
    var inner = ""
    if let facts { inner += "<p>\(facts.html)</p>\n" }
    if let table { inner += table.html(caption: title) }
    inner += notes.map { "<p class=\"note\">\($0.html)</p>\n" }.joined()
    let title = title?.html ?? ""
    if isClosed { return "<details><summary>\(title)</summary>\n\(inner)</details>\n" }
    return "<section>\n" + (title.isEmpty ? "" : "<h2>\(title)</h2>\n") + inner + "</section>\n"
  }
}

extension HeatMap {
  /// The map as an element: a table that sorts like any other.
  fileprivate var html: String {
    let legend =
      "Shades go from \(Figures.significant(range.lowerBound)) (palest) to \(Figures.significant(range.upperBound))."
    return "<section>\n<h2>\(title.html)</h2>\n"
      + table.html(caption: title) { r, c in c == 0 ? nil : shade(values[r][c - 1]) }
      + "<p class=\"note\">\(legend.html)</p>\n</section>\n"
  }
}

extension TextTable {
  /// The table as an element.
  ///
  /// - Parameters:
  ///   - caption: what it is called.
  ///   - shade: the shade of a row's cell, if it has one.
  fileprivate func html(caption: String?, shade: (_ row: Int, _ column: Int) -> Int? = { _, _ in nil }) -> String {
    func kind(_ c: Int) -> String { columns[c].isText ? " class=\"text\"" : "" }
    let titles = columns.indices.map { c in
      let title = columns[c].title.split(separator: "\n").joined(separator: " ")
      return "<th scope=\"col\"\(kind(c))><button type=\"button\">\(title.html)</button></th>"
    }
    // A region that scrolls by itself has to be reached by keyboard, and so needs a name.
    let name = (caption ?? columns.first?.title ?? "").onOneLine.html
    var text = "<div class=\"table\" role=\"region\" tabindex=\"0\" aria-label=\"\(name)\"><table>\n"
    text += "<thead><tr>\(titles.joined())</tr></thead>\n<tbody>\n"
    for (r, row) in rows.enumerated() {
      let cells = row.cells.enumerated().map { c, cell in
        let looks = shade(r, c).map { " class=\"shade\($0)\"" } ?? kind(c)
        return c == 0 ? "<th scope=\"row\"\(kind(c))>\(cell.html)</th>" : "<td\(looks)>\(cell.html)</td>"
      }
      text += "<tr\(row.isSecondary ? " class=\"secondary\"" : "")>\(cells.joined())</tr>\n"
    }
    return text + "</tbody></table></div>\n"
  }
}

extension String {
  /// The text with what HTML would take for markup escaped, on one line.
  package var html: String {
    var text = ""
    for scalar in onOneLine.unicodeScalars {
      switch scalar {
      case "&": text += "&amp;"
      case "<": text += "&lt;"
      case ">": text += "&gt;"
      case "\"": text += "&quot;"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
