import RoutingCore
import RoutingExpectations
import Testing

import enum _TestSupport.DecodedJSON

@testable import RoutingReports

struct OrderReportTests {
  private static let report = Result { try OrderReport(on: try ShippedProblems.smooth(), threads: 2) }

  @Test func jsonHasEveryFieldOfTheContract() throws {
    let report = try Self.report.get()
    let json = try DecodedJSON(report.json)
    #expect(json["schema"].string == "routegrad.order/1")
    #expect(json["version"].string == routeGradVersion)
    let problems = json["problems"].items
    #expect(problems.map { $0["kind"].string } == ["categorical", "mixture", "mixture"])
    for problem in problems {
      #expect(problem.keys == ["name", "kind", "experts", "orders"])
      #expect(problem["orders"].items.count >= 4)
      for order in problem["orders"].items {
        #expect(
          order.keys.subtracting(["unavailable"]) == [
            "id", "parameters", "target", "theoreticalOrder", "theoreticalSlope", "measuredSlope",
            "standardError",
            "exact",
          ])
        #expect(order["theoreticalSlope"].number == order["theoreticalOrder"].number.map { $0 + 1 })
        let isMeasured = order["measuredSlope"].number != nil
        #expect(
          [order["exact"].bool == true, isMeasured, order["unavailable"].string != nil].count { $0 } == 1)
        #expect(isMeasured == (order["standardError"].number != nil))
      }
    }
  }

  @Test func tableAndCSVShowWhatWasMeasured() throws {
    let report = try Self.report.get()
    let text = report.rendered(as: .table)
    for line in text.split(separator: "\n") { #expect(line.count <= TextTable.width) }
    let rows = text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    let midpoint = try #require(rows.first { $0.first == "midpoint" })
    #expect(midpoint[1...2] == ["2", "3"])
    #expect(abs(try #require(Double(midpoint[3])) - 3) < 0.05)
    #expect(rows.contains { $0.starts(with: ["reinforce", "–", "exact", "exact"]) })
    let lines = report.csv.split(separator: "\n")
    #expect(lines.count == 1 + report.problems.reduce(0) { $0 + $1.measurements.count })
    #expect(report.rendered(as: .markdown).contains("| midpoint | 2 | 3 | "))
  }

  @Test func tablesCannotBeMeasured() throws {
    let problem = FiledProblem(
      .categorical(
        try CategoricalProblem(
          logits: [0, 1], source: .table(values: [0, 1], gradients: [[0, 1], [1, 0]]))),
      file: "f.json")
    let report = try OrderReport(on: [problem])
    let missing = "Not available: reinforce, unordered-set, rebar, relax, straight-through"
    #expect(report.rendered(as: .table).contains(missing))
    #expect(
      report.json.contains(#""unavailable": "needs the objective as a function, which a table is not""#))
  }
}
