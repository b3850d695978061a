import RoutingEstimators
import Testing

import enum _TestSupport.DecodedJSON

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
}
