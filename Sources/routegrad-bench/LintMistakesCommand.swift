import ArgumentParser
import RouteGrad

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
      let trials = try MistakeTrials(on: profile, seed: seed)
      isClean = isClean && sound.verdict == .proved && trials.unnamed.isEmpty
      let named = trials.changing.count - trials.unnamed.count
      let others = trials.unnamed.map(\.mistake.rawValue).joined(separator: ", ")
      print(
        "\(entry.name): N = \(profile.experts), \(sound.verdict.rawValue) in \(sound.calls) calls, "
          + "\(Int(seconds * 1000)) ms; \(named) of \(trials.changing.count) mistakes refuted and named"
          + (others.isEmpty ? "" : ": not \(others)"))
    }
    if !isClean { throw ExitCode(1) }
  }

  /// The router with fewer experts, where it has more than are asked for.
  private func profile(_ specification: RouterSpecification) -> RouterProfile {
    let fewer = specification.experts > experts ? try? specification.with(experts: experts) : nil
    return SpecifiedRouter(of: fewer ?? specification).profile
  }
}
