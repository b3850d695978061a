import RoutingCore
import Testing

@testable import RoutingReports

/// Shades of numbers, and the numbers themselves.
struct HeatMapTests {
  private static func map(_ values: [Double?]) -> HeatMap {
    HeatMap(
      title: "t", corner: "layer", rows: ["a"], columns: values.indices.map { "c\($0)" }, values: [values])
  }

  /// Equal steps from the lowest to the highest, with 0 among them.
  @Test(
    arguments: [
      ([0.0, 1, 0.5, 0.124, 0.126, nil], [0, 7, 4, 0, 1, nil]), ([0.5, 1, nil], [4, 7, nil]),
      ([-1, 0, 1, nil], [0, 4, 7, nil]),
      ([-2, -1, nil], [0, 4, nil]), ([0, 0, nil], [0, 0, nil]), ([.infinity, .nan, 1], [nil, nil, 7]),
      ([-Double.greatestFiniteMagnitude, Double.greatestFiniteMagnitude, 0], [0, 7, 4]),
      ([5e-324, 0, nil], [0, 0, nil]),
    ] as [([Double?], [Int?])])
  func shadesGoInEqualSteps(values: [Double?], shades: [Int?]) {
    let map = Self.map(values)
    #expect(values.map(map.shade) == shades)
  }

  /// Nothing is said by a shade alone.
  @Test func everyCellHasItsNumber() {
    let map = HeatMap(
      title: "bias", corner: "layer", rows: ["l0", "l1"], columns: ["exact", "switch"],
      values: [[0.25, nil], [1e-15, .infinity]])
    #expect(map.table.columns.map(\.title) == ["layer", "exact", "switch"])
    #expect(
      map.table.rows.map(\.cells) == [["l0", "0.250", Figures.undefined], ["l1", "0", Figures.undefined]])
    let page = HTMLPage(title: "t", heatMaps: [map], json: "{}").text
    #expect(page.contains("<td class=\"shade7\">0.250</td>") && page.contains("<td>\(Figures.undefined)</td>"))
    #expect(page.contains("<th scope=\"row\" class=\"text\">l1</th>"))
  }

  /// What has no two numbers to compare is left out.
  @Test func oneNumberIsNoMap() {
    #expect(
      !HTMLPage(title: "t", heatMaps: [Self.map([1]), Self.map([nil, nil])], json: "{}").text.contains("<table>"))
  }
}
