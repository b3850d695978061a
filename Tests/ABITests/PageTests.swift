import CRouteGrad
import Testing
import _TestSupport

/// Pages of what a caller has found.
struct PageTests {
  private static let whole = """
    {"title": "<b>", "result": {"x": [1, null, 0.1]},
     "charts": [{"title": "c", "x": "a", "y": "b",
       "series": [{"name": "s", "curve": true, "x": [0, 1], "y": [2, 3], "names": ["p", "q"]}]}],
     "heatMaps": [{"title": "h", "corner": "layer", "rows": ["l"], "columns": ["e", "f"], "values": [[0.5, null]]}],
     "sections": [{"title": "t", "facts": "f", "notes": ["n"],
       "table": {"columns": ["c", "d"], "textColumns": 1, "rows": [["1", "2"]]}}, {"notes": []}]}

    """

  private func page(_ json: String) throws -> (text: String, json: String) {
    var page: OpaquePointer?
    try require(json.withCString { rg_page_from_json($0, json.utf8.count, &page) })
    defer { rg_report_destroy(page) }
    return (String(cString: rg_report_text(page)), String(cString: rg_report_json(page)))
  }

  @Test func aPageHasWhatIsDescribed() throws {
    let (text, json) = try page(Self.whole)
    #expect(text.hasPrefix("<!DOCTYPE html>") && text.contains("&lt;b&gt;") && !text.contains("<b>"))
    #expect(text.contains("<td class=\"shade7\">0.500</td>") && text.contains("<td>2</td>"))
    #expect(text.contains("q: a 1, b 3"))
    #expect(try DecodedJSON(json)["x"].items.count == 3)
  }

  /// Every field that is missing, unknown or of another kind is named.
  @Test(arguments: [
    (#""title": "<b>", "#, "", "title: expected a string, the field is missing"),
    (#""title": "<b>""#, #""title": "<b>", "more": 1"#, "more: expected no such field"),
    (#""x": [0, 1]"#, #""x": [0]"#, "charts[0].series[0].names: expected as many"),
    (#""x": "a""#, #""x": 1"#, "charts[0].x: expected a string, got a number"),
    ("[[0.5, null]]", "[[0.5]]", "heatMaps[0].values: expected 1 rows of 2 numbers"),
    ("[[0.5, null]]", #"[["0.5", null]]"#, "heatMaps[0].values[0]: expected a number, got a string"),
    (#""textColumns": 1"#, #""textColumns": 3"#, "sections[0].table.textColumns: expected 0 to 2"),
    (#"["1", "2"]"#, #"["1"]"#, "sections[0].table.rows: expected 2 cells"), ("]}\n", "", "expected ',' or"),
  ])
  func whatIsWrongIsNamed(old: String, new: String, message: String) throws {
    let json = Self.whole.replacing(old, with: new, maxReplacements: 1)
    var page: OpaquePointer?
    expectRefusal(json.withCString { rg_page_from_json($0, json.utf8.count, &page) }, RG_INVALID_DATA, message)
    #expect(page == nil)
    expectRefusal(rg_page_from_json(nil, 0, &page), RG_INVALID_ARGUMENT, "json")
    expectRefusal(json.withCString { rg_page_from_json($0, json.utf8.count, nil) }, RG_INVALID_ARGUMENT, "page")
  }
}
