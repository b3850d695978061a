import ArgumentParser
import RouteGrad
import RouterSpecifications
import RoutingReports

/// Holds the lint to the catalogue: sound routers are proved, mistaken ones refuted and named.
struct LintMistakesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lint-mistakes",
    abstract: "Runs the lint on every router of the catalogue, sound and with every mistake that changes its function.",
    discussion: "Exit status: 0 if sound routers are proved, and mistaken ones refuted and named; else 1.")

  @Option(help: "The routers, with commas. (default: all)") var routers: String?
  @Option(help: "The most experts that a router is given; groups stay.") var experts = 64
  @Option(help: "The seed.") var seed: UInt64 = 0

  func validate() throws { try requirePositive([("--experts", experts)]) }

  func run() throws {
    let names = routers.map { Set($0.split(separator: ",").map(String.init)) }
    var isClean = true
    for entry in try RouterCatalogue.shipped().entries where names?.contains(entry.name) ?? true {
      guard entry.specification.gate != nil else { continue }
      let profile = profile(entry.specification)
      let clock = ContinuousClock()
      let start = clock.now
      let sound = try RouterLint(seed: seed).run(on: SpecifiedRouter(profile))
      let seconds = (clock.now - start) / .seconds(1)
      let refuted = sound.findings.filter { $0.verdict == .refuted || $0.verdict == .undecided }
      for finding in refuted { print("  \(finding.check.rawValue): \(finding.detail)") }
      let mistakes = RouterMistake.allCases.filter {
        $0.applies(to: profile.specification) && !profile.isSame($0, as: nil)
      }
      let unnamed = try mistakes.filter { try !isNamed($0, profile) }
      isClean = isClean && sound.verdict == .proved && unnamed.isEmpty
      print(
        "\(entry.name): N = \(profile.experts), \(sound.verdict.rawValue) in \(sound.calls) calls, "
          + "\(Int(seconds * 1000)) ms; \(mistakes.count - unnamed.count) of \(mistakes.count) mistakes refuted and named"
          + (unnamed.isEmpty ? "" : ": not \(unnamed.map(\.rawValue).joined(separator: ", "))"))
    }
    if !isClean { throw ExitCode(1) }
  }

  /// The router with fewer experts, where it has more than are asked for.
  private func profile(_ specification: RouterSpecification) -> RouterProfile {
    var specification = specification
    if specification.experts > experts {
      var smaller = specification
      smaller.experts = experts
      if (try? smaller.validate()) != nil { specification = smaller }
    }
    var uniforms = specification.noise?.kind.takesUniforms == true ? specification.experts : 0
    if case .sampled = specification.selection { uniforms += specification.experts }
    let isOnInput = specification.noise?.kind == .uniformInput
    return RouterProfile(specification, uniforms: uniforms, takes: isOnInput ? .input : .logits)
  }

  /// Whether some check refutes the router and says the mistake, or one that is the same function.
  private func isNamed(_ mistake: RouterMistake, _ profile: RouterProfile) throws -> Bool {
    let names = RouterMistake.allCases.filter { profile.isSame($0, as: mistake) }.map { "(\($0.rawValue))" }
    let router = SpecifiedRouter(profile, mistake: mistake)
    return try LintCheck.battery.dropFirst().contains { check in
      let found = try RouterLint(seed: seed, checks: [check]).run(on: router)[check]
      return found?.verdict == .refuted && names.contains { found?.detail.contains($0) == true }
    }
  }
}
