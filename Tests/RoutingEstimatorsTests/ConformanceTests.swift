import RoutingEstimators
import Testing
import _TestSupport

/// The one suite over the registry: whatever an estimator is, and whatever it declares about itself, is held
/// to here. That these checks can fail is shown by the planted faults of `_TestSupportTests`.
@Suite("Conformance", .seeded)
struct ConformanceTests {
  @Test(arguments: EstimatorSpecifications.all, ConformanceCheck.allCases)
  func conforms(_ specification: String, to check: ConformanceCheck) throws {
    let violations = try checkEstimator(EstimatorSpecifications.finite(specification), checks: [check])
    #expect(violations.isEmpty, "\(specification): \(violations.map(\.description).joined(separator: "; "))")
  }

  @Test func registryIsCovered() {
    for type in EstimatorRegistry.types where type is any FiniteOutcomeEstimator.Type {
      #expect(EstimatorSpecifications.all.contains { $0 == type.id || $0.hasPrefix(type.id + ":") })
    }
    #expect(Set(EstimatorSpecifications.all).count == EstimatorSpecifications.all.count)
  }
}
