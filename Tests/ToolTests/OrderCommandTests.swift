import Foundation
import Testing

import enum _TestSupport.DecodedJSON

struct OrderCommandTests {
  @Test func measuresTheOrdersThatAreClaimed() throws {
    let run = try Tool.run(["order", "-", "--format", "json"], input: Samples.mixture)
    #expect(run.status == 0)
    let report = try DecodedJSON(run.output)
    #expect(report.keys == ["schema", "version", "problems"])
    #expect(report["schema"].string == "routegrad.order/1")
    let problem = report["problems"][0]
    #expect(problem["name"].string == "sample")
    #expect(problem["experts"].number == 3)
    let orders = problem["orders"].items
    for (id, slope) in [("first-order", 2.0), ("midpoint", 3), ("sparsemixer", 2), ("sparsemixer-v2", 2)] {
      let order = try #require(orders.first { $0["id"].string == id })
      #expect(order["theoreticalSlope"].number == slope)
      #expect(abs(try #require(order["measuredSlope"].number) - slope) < 0.02, "\(id)")
    }
    for id in ["reinforce", "conventional", "exact"] {
      #expect(try #require(orders.first { $0["id"].string == id })["exact"].bool == true)
    }
  }

  @Test func withoutAFileItMeasuresOnSmoothProblems() throws {
    let run = try Tool.run(["order"])
    #expect(run.status == 0)
    #expect(run.error == "")
    for name in ["categorical-8-cross-entropy", "mixture-8-log-cosh", "mixture-8-softmax-cross-entropy"] {
      #expect(run.output.contains("\(name)  "))
    }
    for line in run.lines { #expect(line.count <= 80, "\(line)") }
    let csv = try Tool.run(["order", "--format", "csv", "--threads", "1"])
    #expect(
      csv.lines.first?.hasPrefix("problem,name,kind,experts,id,parameters,target,theoreticalOrder") == true)
    #expect(csv.output == (try Tool.run(["order", "--format", "csv", "--threads", "3"]).output))
    #expect(try Tool.run(["order", "--format", "markdown"]).output.contains("| reinmax | 2 | 3 | "))
  }

  @Test func masksAreTaken() throws {
    let run = try Tool.run(
      ["order", "-", "--mask", "paper"], input: Samples.list(Samples.mixture, Samples.categorical))
    #expect(run.status == 0)
    #expect(run.error == "routegrad: note: categorical problems take no mask: 1 of 2 go without\n")
  }
}
