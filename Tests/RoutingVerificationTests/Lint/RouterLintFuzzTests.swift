import RouterSpecifications
import RoutingCore
import RoutingVerification
import Testing
import _PlantedRouters
import _TestSupport

/// Whatever a router answers, the battery ends with findings or with a failure of one line; it never traps.
@Suite("Router lint, any answers", .seeded)
struct RouterLintFuzzTests {
  @Test(arguments: PlantedRouter.families.map(\.name))
  func nothingTraps(name: String) throws {
    let profile = try #require(PlantedRouter.families.first { $0.name == name })
    for run in 0..<40 {
      let sound = ReferenceRouter(profile)
      var generator = TestSeed.generator("fuzz \(name) \(run)")
      let spoiled = ClosureRouter(profile) { (call) throws(RouterFailure) in
        var answer = try sound.route(call)
        // Rarely, so that every check gets to see something odd before a wrong shape ends the battery.
        if Int.random(in: 0..<30, using: &generator) == 0 { Self.spoil(&answer, using: &generator) }
        return answer
      }
      do throws(RouterFailure) {
        let result = try RouterLint(seed: UInt64(run)).run(on: spoiled)
        #expect(result.findings.count == LintCheck.battery.count)
        for finding in result.findings { #expect(!finding.detail.isEmpty) }
      } catch {
        #expect(!error.description.contains("\n"))
      }
    }
  }

  private static let numbers: [Double] = [
    0, -1, 1e308, -1e308, .leastNonzeroMagnitude, .nan, .infinity, -.infinity, 0.5, 1e18, .leastNormalMagnitude,
  ]

  private static func spoil(_ answer: inout RouterAnswer, using generator: inout Philox) {
    let number = numbers.randomElement(using: &generator) ?? 0
    func spoil(_ rows: inout [[Double]]) {
      guard let t = rows.indices.randomElement(using: &generator) else { return }
      switch Int.random(in: 0..<20, using: &generator) {
      case 0: rows.removeLast()
      case 1: rows[t].append(number)
      case 2: rows[t] = []
      default:
        if let k = rows[t].indices.randomElement(using: &generator) { rows[t][k] = number }
      }
    }
    switch Int.random(in: 0..<9, using: &generator) {
    case 0:
      guard let t = answer.choice.indices.randomElement(using: &generator), !answer.choice[t].isEmpty else { return }
      answer.choice[t][0] = [-1, 0, 7, 8, .max, .min].randomElement(using: &generator) ?? 0
    case 1: spoil(&answer.multipliers)
    case 2:
      if var rows = answer.gradient {
        spoil(&rows)
        answer.gradient = rows
      }
    case 3:
      if var rows = answer.output {
        spoil(&rows)
        answer.output = rows
      }
    case 4:
      if var rows = answer.dispatch {
        spoil(&rows)
        answer.dispatch = rows
      }
    case 5:
      if var rows = answer.logitsAfter {
        spoil(&rows)
        answer.logitsAfter = rows
      }
    case 6: answer.auxiliaryLoss = number
    case 7:
      if var rows = answer.expertInputs?.first {
        spoil(&rows)
        answer.expertInputs?[0] = rows
      }
    default: answer.output = nil
    }
  }
}
