import FileFormats
import RoutingCore

extension HTMLPage {
  /// A page as a program of another language describes it: `routegrad.h` has the fields, at `rg_page_from_json`.
  ///
  /// - Throws: `InvalidInput` for the first thing that is wrong.
  package init(describedBy bytes: [UInt8]) throws(InvalidInput) {
    let fields = try JSONFields(
      try ProblemFile.root(of: bytes), of: "a page", only: ["title", "charts", "heatMaps", "sections", "result"])
    self.init(
      title: try fields.string("title"), charts: try fields.list("charts", "a list of charts", Chart.init(_:)),
      heatMaps: try fields.list("heatMaps", "a list of heat maps", HeatMap.init(_:)),
      sections: try fields.list("sections", "a list of sections", TextSection.init(_:)),
      json: JSONWriter.indented(try fields.value("result", "the result")))
  }
}

extension Chart {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a chart", only: ["title", "x", "y", "series"])
    self.init(
      title: try fields.string("title"), x: Axis(try fields.string("x")), y: Axis(try fields.string("y")),
      series: try fields.list("series", "a list of series", Series.init(_:)))
  }
}

extension Chart.Series {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a series", only: ["name", "x", "y", "names", "curve"])
    let (x, y) = (try fields.numbers("x"), try fields.numbers("y"))
    let names = try fields.list("names", "a list of names", plainText)
    guard x.count == y.count, x.count == names.count else {
      throw InvalidInput("names", "expected as many as x and y, got \(x.count), \(y.count) and \(names.count)")
    }
    self.init(
      name: try fields.string("name"), points: x.indices.map { .init(x: x[$0], y: y[$0], name: names[$0]) },
      isCurve: try fields.flag("curve"))
  }
}

extension HeatMap {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a heat map", only: ["title", "corner", "rows", "columns", "values"])
    let rows = try fields.list("rows", "a list of names", plainText)
    let columns = try fields.list("columns", "a list of names", plainText)
    let values = try fields.list("values", "rows of numbers") { (row) throws(InvalidInput) in
      switch row {
      case .numbers(let numbers): return numbers.map { Optional($0) }
      case .array(let items): return try items.map(optionalNumber)
      default: throw InvalidInput("", "expected numbers, got \(row.kind)")
      }
    }
    guard values.count == rows.count, values.allSatisfy({ $0.count == columns.count }) else {
      throw InvalidInput("values", "expected \(rows.count) rows of \(columns.count) numbers")
    }
    self.init(
      title: try fields.string("title"), corner: try fields.string("corner"), rows: rows, columns: columns,
      values: values)
  }
}

extension TextSection {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a section", only: ["title", "facts", "table", "notes"])
    self.init(
      title: try fields.given("title") { (fields, key) throws(InvalidInput) in try fields.string(key) },
      facts: try fields.given("facts") { (fields, key) throws(InvalidInput) in try fields.string(key) },
      table: try fields.given("table") { (fields, key) throws(InvalidInput) in
        try fields.part(key, "a table", TextTable.init(_:))
      }, notes: try fields.list("notes", "a list of paragraphs", plainText))
  }
}

extension TextTable {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a table", only: ["columns", "textColumns", "rows"])
    let titles = try fields.list("columns", "a list of titles", plainText)
    let texts = try fields.integer("textColumns", Limit("0 to \(titles.count)") { 0...titles.count ~= $0 })
    let rows = try fields.list("rows", "a list of rows") { (row) throws(InvalidInput) in
      // A list without members has no kind of members.
      if case .numbers(let numbers) = row, numbers.isEmpty { return [String]() }
      guard case .array(let cells) = row else { throw InvalidInput("", "expected a list of texts, got \(row.kind)") }
      return try cells.map(plainText)
    }
    guard rows.allSatisfy({ $0.count == titles.count }) else {
      throw InvalidInput("rows", "expected \(titles.count) cells in each")
    }
    self.init(
      columns: titles.enumerated().map { .init(title: $1, isText: $0 < texts) }, rows: rows.map { .init(cells: $0) })
  }
}

private func plainText(_ value: JSONValue) throws(InvalidInput) -> String {
  guard case .string(let text) = value else { throw InvalidInput("", "expected a string, got \(value.kind)") }
  return text
}

private func optionalNumber(_ value: JSONValue) throws(InvalidInput) -> Double? {
  switch value {
  case .number(let x): return x
  case .null: return nil
  default: throw InvalidInput("", "expected a number, got \(value.kind)")
  }
}
