import RoutingVerification
import Testing
import _PlantedRouters
import _TestSupport

extension PlantedRouter: CustomTestStringConvertible {
  public var testDescription: String { "\(name) (\(profile.name))" }
}

@Suite("Router lint", .seeded)
struct RouterLintTests {
  @Test(arguments: PlantedRouter.families.map(\.name))
  func soundRoutersPassTheWholeBattery(name: String) throws {
    let profile = try #require(PlantedRouter.families.first { $0.name == name })
    let result = try RouterLint(seed: TestSeed.value).run(on: ReferenceRouter(profile))
    for finding in result.findings {
      #expect(finding.verdict == .proved || finding.verdict == nil, "\(finding.check): \(finding.detail)")
    }
    #expect(result.verdict == .proved)
    #expect(result.findings.map(\.check) == LintCheck.allCases)
  }

  @Test(arguments: PlantedRouter.all)
  func plantedFaultsAreCaught(_ planted: PlantedRouter) throws {
    let result = try RouterLint(seed: TestSeed.value).run(on: planted.faulty)
    #expect(result.verdict == .refuted)
    let finding = try #require(result[planted.caughtBy])
    #expect(finding.verdict == .refuted, "\(finding.detail)")
  }
}
