import RoutingEstimators
import Testing

import enum _TestSupport.DecodedJSON

@testable import RoutingReports

struct EstimatorCatalogueTests {
  @Test func jsonDeclaresTheRegistry() throws {
    let json = try DecodedJSON(EstimatorCatalogue.json)
    #expect(json["estimators"].items.map { $0["id"].string } == EstimatorRegistry.types.map { $0.id })
    for (entry, estimator) in zip(json["estimators"].items, EstimatorRegistry.standard) {
      #expect(
        entry["claims"].keys
          == ["kinds", "target", "exactness", "order", "draws", "expertEvaluations", "source"])
      #expect(entry["claims"]["target"].string == estimator.claims.target.rawValue)
      let parameters = entry["parameters"].items
      #expect(parameters.map { $0["name"].string } == type(of: estimator).parameters.map(\.name))
      for parameter in parameters { #expect(parameter.keys == ["name", "expected", "default"]) }
    }
  }

  @Test func textFitsTheWidthAndNamesEveryEstimator() {
    let text = EstimatorCatalogue.text(style: .plain)
    for line in text.split(separator: "\n") { #expect(line.count <= TextTable.width, "\(line)") }
    for type in EstimatorRegistry.types { #expect(text.contains("\n  \(type.id) ")) }
  }
}
