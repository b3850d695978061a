import FileFormats
import RouterSpecifications
import RoutingReports
import RoutingVerification
import Testing
import _TestSupport

/// The lint on routers of many specifications: the sound ones pass, and every mistake that changes the function is refuted
/// and named.
@Suite("Mistaken routers", .seeded)
struct MistakenRouterTests {
  /// The specifications that the reference router is held to autograd on.
  static let specifications: [RouterSpecification] = (try? read()) ?? []

  private static func read() throws -> [RouterSpecification] {
    var found: [RouterSpecification] = []
    for line in try Fixtures.bytes("routers/autograd.jsonl").split(separator: UInt8(ascii: "\n")) {
      guard case .object(let members) = try JSONParser.parse(Array(line)),
        let value = members.first(where: { $0.key == "spec" })?.value
      else { continue }
      let specification = try RouterSpecification(value)
      if !found.contains(where: { $0.name == specification.name }) { found.append(specification) }
    }
    return found
  }

  @Test func thereAreMany() { #expect(Self.specifications.count > 60) }

  @Test(arguments: specifications.map(\.name))
  func soundOnesAreProved(name: String) throws {
    let router = try router(name)
    let result = try RouterLint(seed: TestSeed.value).run(on: router)
    for finding in result.findings where finding.verdict == .refuted || finding.verdict == .undecided {
      Issue.record("\(finding.check): \(finding.detail)")
    }
    #expect(result.verdict == .proved)
  }

  @Test(arguments: specifications.map(\.name).enumerated().filter { $0.offset % 3 == 0 }.map(\.element))
  func mistakenOnesAreRefutedAndNamed(name: String) throws {
    let trials = try MistakeTrials(on: try router(name).profile, seed: TestSeed.value)
    #expect(!trials.changing.isEmpty)
    for (mistake, refuted) in trials.unnamed { Issue.record("\(mistake): \(refuted)") }
  }

  private func router(_ name: String) throws -> SpecifiedRouter {
    SpecifiedRouter(of: try #require(Self.specifications.first { $0.name == name }))
  }
}
