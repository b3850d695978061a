import Foundation
import RoutingCore
import RoutingExpectations
import Testing

@testable import RoutingReports

struct OrderReportTests {
  private static let report = Result { try OrderReport(on: try ShippedProblems.smooth(), threads: 2) }

  @Test func jsonHasEveryFieldOfTheContract() throws {
    let report = try Self.report.get()
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(report.json.utf8)) as? [String: Any])
    #expect(json["schema"] as? String == "routegrad.order/1")
    #expect(json["version"] as? String == routeGradVersion)
    let problems = try #require(json["problems"] as? [[String: Any]])
    #expect(problems.map { $0["kind"] as? String } == ["categorical", "mixture", "mixture"])
    for problem in problems {
      #expect(Set(problem.keys) == ["name", "kind", "experts", "orders"])
      for order in try #require(problem["orders"] as? [[String: Any]]) {
        #expect(
          Set(order.keys).subtracting(["unavailable"]) == [
            "id", "parameters", "target", "theoreticalOrder", "theoreticalSlope", "measuredSlope",
            "standardError",
            "exact",
          ])
        if let theory = order["theoreticalOrder"] as? Int {
          #expect(order["theoreticalSlope"] as? Int == theory + 1)
        }
        #expect(
          (order["exact"] as? Bool == true)
            == (order["measuredSlope"] is NSNull && order["unavailable"] == nil))
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
    #expect(
      report.rendered(as: .table).contains("(needs the objective as a function, which a table is not)."))
    #expect(
      report.json.contains(#""unavailable": "needs the objective as a function, which a table is not""#))
  }
}
