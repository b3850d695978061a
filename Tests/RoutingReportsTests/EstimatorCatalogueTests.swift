import Foundation
import RoutingEstimators
import Testing

@testable import RoutingReports

struct EstimatorCatalogueTests {
  @Test func jsonDeclaresTheRegistry() throws {
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(EstimatorCatalogue.json.utf8)) as? [String: Any])
    let estimators = try #require(json["estimators"] as? [[String: Any]])
    #expect(estimators.map { $0["id"] as? String } == EstimatorRegistry.types.map { $0.id })
    for (entry, estimator) in zip(estimators, EstimatorRegistry.standard) {
      let claims = try #require(entry["claims"] as? [String: Any])
      #expect(
        Set(claims.keys) == ["kinds", "target", "exactness", "order", "draws", "expertEvaluations", "source"])
      #expect(claims["target"] as? String == estimator.claims.target.rawValue)
      let parameters = try #require(entry["parameters"] as? [[String: Any]])
      #expect(parameters.map { $0["name"] as? String } == type(of: estimator).parameters.map(\.name))
      for parameter in parameters { #expect(Set(parameter.keys) == ["name", "expected", "default"]) }
    }
  }

  @Test func textFitsTheWidthAndNamesEveryEstimator() {
    let text = EstimatorCatalogue.text(style: .plain)
    for line in text.split(separator: "\n") { #expect(line.count <= TextTable.width, "\(line)") }
    for type in EstimatorRegistry.types { #expect(text.contains("\n  \(type.id) ")) }
  }
}
