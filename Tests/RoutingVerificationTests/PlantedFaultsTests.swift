import Foundation
import RoutingCore
import RoutingEstimators
import RoutingVerification
import Testing
import _TestSupport

extension PlantedFault: CustomTestStringConvertible {
  public var testDescription: String { "\(name) (\(twin))" }
}

/// Every planted fault is refuted, by outcomes and, where its mean is wrong, by the mean alone at the sample size of the
/// design; every sound twin passes on the same problem. Error rates of each run: 1e-6 and 1e-3; the twins' passes and the
/// faults' refutations have fixed seeds.
@Suite("Planted faults through the verifier", .seeded)
struct PlantedFaultsTests {
  static let trials = Result {
    try PlantedFault.all.map { fault in try #require(try FaultTrial(of: fault), "\(fault.name) shows nowhere") }
  }

  @Test func everyFaultIsRefuted() throws {
    for trial in try Self.trials.get() {
      if trial.showsInSamples { #expect(trial.withDraws.verdict == .refuted, "with draws: \(trial.fault.name)") }
      #expect(trial.outcomes.verdict == .refuted, "outcomes: \(trial.fault.name)")
      if let mean = trial.mean { #expect(mean.verdict == .refuted, "mean: \(trial.fault.name)") }
    }
  }

  @Test func everySoundTwinPasses() throws {
    for trial in try Self.trials.get() {
      #expect(trial.twin.outcomes.verdict == .proved, "outcomes: \(trial.fault.twin)")
      #expect(trial.twin.withDraws.verdict != .refuted, "with draws: \(trial.fault.twin)")
      if let mean = trial.twin.mean { #expect(mean.verdict == .consistent, "mean: \(trial.fault.twin)") }
    }
  }

  /// microsoft-style tests with an absolute tolerance of 8e-2 let a router without gradient pass (maxtext#5042).
  @Test func zeroGradientsThatAnAbsoluteToleranceLetsPass() throws {
    let loss = try LogCosh(scales: [0.3, 0.2], targets: [0.1, -0.1])
    let problem = try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: [0.3, -0.2, 0.1, 0], expertOutputs: [[0.5, 0.2], [1, -0.4], [-0.7, 0.3], [0.2, 0.9]], loss: loss)))
    let estimator = Conventional()
    let list = try estimator.outcomes(of: problem)
    let outcomes = list.outcomes.map {
      ForeignOutcome(
        draw: ForeignDraw(choice: $0.choice, coins: $0.coins), probability: $0.probability,
        gradient: [Double](repeating: 0, count: 4))
    }
    for outcome in list.outcomes {
      #expect(list.gradient(of: outcome).allSatisfy { $0.magnitude < 8e-2 }, "an absolute tolerance would see it")
    }
    let evidence = OutcomeVerifier.verdict(on: outcomes, claim: try Claim(estimator, on: problem), criteria: Criteria())
    #expect(evidence.verdict == .refuted)
    #expect(evidence.counterExample?.kind == .gradient)
    #expect(evidence.counterExample?.row == 0)
  }

  /// The table in docs/verification.md is what the verifier does now; `ROUTEGRAD_UPDATE_DOCS=1` writes it.
  @Test(.enabled(if: TestSeed.value == TestSeed.standard)) func documentedTable() throws {
    let table = try FaultTable(Self.trials.get()).markdown
    let file = Fixtures.root.deletingLastPathComponent().appending(path: "docs/verification.md")
    let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
    let (begin, end) = ("<!-- planted faults: begin -->\n", "<!-- planted faults: end -->")
    let parts = text.components(separatedBy: begin)
    let rest = parts.count == 2 ? parts[1].components(separatedBy: end) : []
    try #require(rest.count == 2, "docs/verification.md has no table of planted faults")
    if ProcessInfo.processInfo.environment["ROUTEGRAD_UPDATE_DOCS"] != nil {
      try Data((parts[0] + begin + table + end + rest[1]).utf8).write(to: file)
    } else {
      #expect(rest[0] == table, "run with ROUTEGRAD_UPDATE_DOCS=1 to write the table anew")
    }
  }
}

/// The trials as a table.
struct FaultTable {
  let trials: [FaultTrial]

  init(_ trials: [FaultTrial]) { self.trials = trials }

  var markdown: String {
    var text = """
      | fault | sound twin | from | problem | samples with draws | all outcomes | mean alone: needs | refuted after |
      |---|---|---|---|---|---|--:|--:|

      """
    for trial in trials {
      let needed =
        trial.requiredSamples.map(Self.rounded) ?? (trial.bias > 0 ? "bias is below ε" : "mean is right")
      let drawn =
        trial.showsInSamples
        ? "\(Self.words(trial.withDraws)), after \(Self.rounded(trial.withDraws.samples))" : "samples are right"
      let found = trial.mean.map { Self.rounded($0.samples) } ?? (trial.requiredSamples == nil ? "–" : "not run")
      text +=
        "| \(trial.fault.name) | `\(trial.fault.twin)` | \(trial.fault.origin) | \(trial.problem.name) "
        + "| \(drawn) | \(Self.words(trial.outcomes)) "
        + "| \(needed) | \(found) |\n"
    }
    return text
  }

  /// What refutes.
  private static func words(_ evidence: Evidence) -> String {
    if let found = evidence.counterExample { return found.kind.rawValue }
    guard evidence.verdict == .refuted else { return evidence.verdict.rawValue }
    for case .frequencies(let part) in evidence.parts {
      if case .mean(let mean)? = evidence.parts.first(where: { if case .mean = $0 { true } else { false } }),
        part.logEValue > mean.logEValue
      {
        return "choices"
      }
    }
    return "mean"
  }

  /// Two significant digits, so that another processor's last digits do not show.
  private static func rounded(_ n: Int) -> String {
    guard n >= 100 else { return "\(n)" }
    var unit = 1
    while n / unit >= 100 { unit *= 10 }
    return "\((n + unit / 2) / unit * unit)"
  }
}
