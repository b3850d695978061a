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

  /// The checks that hold an answer to the reference, and then the others.
  static let checks: [LintCheck] = {
    let first: [LintCheck] = [
      .gateOrder, .gateGradient, .selection, .auxiliaryLoss, .auxiliaryGradient, .capacityPriority, .application,
    ]
    return first + LintCheck.allCases.dropFirst().filter { !first.contains($0) }
  }()

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
    let sound = try router(name)
    for mistake in RouterMistake.allCases where !sound.profile.isSame(mistake, as: nil) {
      let router = SpecifiedRouter(sound.profile, mistake: mistake)
      // Some mistakes are the same function where there is one expert, or the score is normalised.
      let names = RouterMistake.allCases.filter { sound.profile.isSame($0, as: mistake) }.map(\.rawValue)
      var refuted: [String] = []
      let isNamed = try Self.checks.contains { check in
        let result = try RouterLint(seed: TestSeed.value, checks: [check]).run(on: router)
        for finding in result.findings where finding.verdict == .refuted {
          refuted.append("\(finding.check.rawValue): \(finding.detail)")
        }
        return names.contains { refuted.last?.contains("(\($0))") == true }
      }
      if !isNamed { Issue.record("\(mistake): \(refuted)") }
    }
  }

  private func router(_ name: String) throws -> SpecifiedRouter {
    let specification = try #require(Self.specifications.first { $0.name == name })
    var uniforms = specification.noise?.kind.takesUniforms == true ? specification.experts : 0
    if case .sampled = specification.selection { uniforms += specification.experts }
    return SpecifiedRouter(
      RouterProfile(
        specification, uniforms: uniforms, takes: specification.noise?.kind == .uniformInput ? .input : .logits))
  }
}
