import Testing
import _TestSupport

extension PlantedFault: CustomTestStringConvertible {
  public var testDescription: String { "\(name) (\(twin))" }
}

/// The conformance checks can fail: each planted fault is caught by every check that should, and its sound
/// twin passes all of them.
@Suite("Planted faults", .seeded)
struct PlantedFaultsTests {
  @Test(arguments: PlantedFault.all)
  func isCaught(_ fault: PlantedFault) throws {
    for check in fault.caughtBy {
      let violations = try checkEstimator(fault.estimator, as: fault.twin, checks: [check])
      #expect(!violations.isEmpty, "\(check) does not see: \(fault.name)")
    }
  }

  @Test(arguments: Set(PlantedFault.all.map(\.twin)).sorted())
  func soundTwinPasses(_ twin: String) throws {
    let violations = try checkEstimator(EstimatorSpecifications.finite(twin))
    #expect(violations.isEmpty, "\(violations.map(\.description).joined(separator: "; "))")
  }

  @Test func coverage() {
    #expect(PlantedFault.all.count >= 30)
    #expect(Set(PlantedFault.all.map(\.name)).count == PlantedFault.all.count)
  }
}
