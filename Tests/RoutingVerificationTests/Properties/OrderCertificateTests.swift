import RoutingCore
import RoutingEstimators
import RoutingVerification
import Testing
import _TestSupport

@Suite("Order certificates", .seeded)
struct OrderCertificateTests {
  /// Everything that claims a degree.
  static let claimed = [
    "straight-through", "reinmax", "first-order", "midpoint", "sparsemixer", "sparsemixer-v2", "sparsemixer-v2-top2",
    "quadrature:rule=euler", "quadrature:rule=midpoint", "quadrature:rule=heun3", "quadrature:rule=simpson",
    "quadrature:rule=rkf4", "quadrature:rule=rkf5", "quadrature:rule=heun3,evaluation=one-node",
  ]

  @Test(arguments: claimed + (1...8).map { "quadrature:rule=gauss-legendre,points=\($0)" })
  func claimsAreCertified(specification: String) throws {
    let estimator = try EstimatorSpecifications.finite(specification)
    let certificate = try OrderCertificate(of: estimator, seed: TestSeed.value)
    #expect(certificate.verdict == .proved, "\(certificate)")
    #expect(certificate.counterExample == nil)
  }

  @Test(arguments: claimed)
  func aDegreeMoreOrLessIsRefuted(specification: String) throws {
    let estimator = try EstimatorSpecifications.finite(specification)
    guard case .degree(let degree) = estimator.claims.exactness else { return }
    let higher = try OrderCertificate(of: estimator, degree: degree + 1, seed: TestSeed.value)
    #expect(higher.verdict == .refuted)
    #expect(higher.counterExample != nil)
    guard degree > 1 else { return }
    let lower = try OrderCertificate(of: estimator, degree: degree - 1, seed: TestSeed.value)
    #expect(lower.verdict == .refuted)
    #expect(lower.counterExample == nil)
  }

  /// Planted faults that change the degree are refuted without a sample.
  @Test(arguments: [
    "factor 2 dropped", "factor 2 dropped on one side of the coin", "node ⅓ for ½", "coin of 0.6 for ½",
    "ReinMax without its −½ term", "ReinMax with D for ½(π + D)", "the argmax flips its coin too",
    "mean not subtracted",
  ])
  func plantedFaultsAreRefuted(name: String) throws {
    let fault = try #require(PlantedFault.all.first { $0.name == name })
    let certificate = try OrderCertificate(of: fault.estimator, seed: TestSeed.value)
    #expect(certificate.verdict == .refuted, "\(certificate)")
  }

  @Test func whoClaimsNoDegreeGetsNoCertificate() throws {
    #expect(throws: Unavailable.self) { try OrderCertificate(of: EstimatorSpecifications.finite("exact")) }
  }
}
