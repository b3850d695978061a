import Foundation
import RoutingEstimators
import Testing

import enum _TestSupport.DecodedJSON
import enum _TestSupport.Fixtures

struct EstimatorsCommandTests {
  @Test func listsTheRegistry() throws {
    let table = try Tool.run(["estimators"])
    #expect(table.status == 0)
    #expect(table.error == "")
    for type in EstimatorRegistry.types { #expect(table.output.contains("\n  \(type.id) ")) }
    for line in table.lines { #expect(line.count <= 80, "\(line)") }
    let json = try DecodedJSON(try Tool.run(["estimators", "--format", "json"]).output)
    #expect(json["schema"].string == "routegrad.estimators/1")
    #expect(json["estimators"].items.map { $0["id"].string } == EstimatorRegistry.types.map { $0.id })
  }

  /// The table of docs/estimators.md is what the program prints; `ROUTEGRAD_UPDATE_DOCS=1` writes it.
  @Test func documentedTable() throws {
    let table = try Tool.run(["estimators", "--format", "markdown"])
    try #require(table.status == 0 && table.error == "")
    let file = Fixtures.root.deletingLastPathComponent().appending(path: "docs/estimators.md")
    let text = try String(contentsOf: file, encoding: .utf8)
    let (begin, end) = ("<!-- estimators: begin -->\n", "<!-- estimators: end -->")
    let parts = text.components(separatedBy: begin)
    let rest = parts.count == 2 ? parts[1].components(separatedBy: end) : []
    try #require(rest.count == 2, "docs/estimators.md has no table of estimators")
    if ProcessInfo.processInfo.environment["ROUTEGRAD_UPDATE_DOCS"] != nil {
      try Data((parts[0] + begin + table.output + end + rest[1]).utf8).write(to: file)
    } else {
      #expect(rest[0] == table.output, "run with ROUTEGRAD_UPDATE_DOCS=1 to write the table anew")
    }
  }
}
