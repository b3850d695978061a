import RouterSpecifications
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
    #expect(result.findings.map(\.check) == LintCheck.battery)
  }

  @Test(arguments: PlantedRouter.specified.map(\.name))
  func soundRoutersOfSpecificationsAreProved(name: String) throws {
    let profile = try #require(PlantedRouter.specified.first { $0.name == name })
    let result = try RouterLint(seed: TestSeed.value).run(on: SpecifiedRouter(profile))
    for finding in result.findings {
      #expect(finding.verdict == .proved || finding.verdict == nil, "\(finding.check): \(finding.detail)")
    }
    #expect(result.verdict == .proved)
  }

  /// What is refuted is named, where it is one of the product's mistakes.
  @Test(arguments: PlantedRouter.all)
  func mistakesAreNamed(_ planted: PlantedRouter) throws {
    guard case .mistake(let mistake) = planted.fault else { return }
    let result = try RouterLint(seed: TestSeed.value, checks: [planted.caughtBy]).run(on: planted.faulty)
    #expect(result[planted.caughtBy]?.detail.contains("(\(mistake.rawValue))") == true)
  }

  /// Few experts, many experts, as many as are chosen.
  @Test(arguments: [2, 3, 5, 64])
  func soundRoutersPassWithAnyNumberOfExperts(experts: Int) throws {
    for family in PlantedRouter.families where family.topK <= experts {
      var profile = family
      profile.specification.experts = experts
      let added = family.uniforms - family.experts * (family.uniforms / family.experts)
      profile.uniforms = family.uniforms / family.experts * experts + added
      let result = try RouterLint(seed: TestSeed.value).run(on: ReferenceRouter(profile))
      // With two experts of which both are chosen, the first multiplier of a sequential router may be all there is.
      for finding in result.findings {
        #expect(finding.verdict != .refuted, "\(family.name), \(finding.check): \(finding.detail)")
        #expect(finding.verdict != .undecided, "\(family.name), \(finding.check): \(finding.detail)")
      }
    }
  }

  /// Sigmoid gates are sound, too: nothing is refuted, and what only a softmax has to satisfy is undecided.
  @Test func gatesThatAreNotDescribedAreNotHeldToASoftmax() throws {
    let profile = RouterProfile(name: "sigmoid", experts: 8, topK: 3, gates: .other)
    let result = try RouterLint(seed: TestSeed.value).run(on: ReferenceRouter(profile, flaws: [.sigmoidGates]))
    #expect(result.verdict == .undecided)
    let undecided = result.findings.filter { $0.verdict == .undecided }.map(\.check)
    #expect(undecided == [.gradientSum, .gateOrder, .gateGradient, .shiftInvariance, .selection])
  }

  /// A router that reports the least it may is not passed on what it does not report.
  @Test func whatIsNotReportedIsUndecided() throws {
    let full = ReferenceRouter(
      RouterProfile(
        name: "terse", experts: 8, takes: .input, gates: .softmax, auxiliaryLoss: .init(counting: .first), capacity: 4))
    let terse = ClosureRouter(full.profile) { (call) throws(RouterFailure) in
      let answer = try full.route(call)
      return RouterAnswer(choice: answer.choice, multipliers: answer.multipliers, gradient: answer.gradient)
    }
    let result = try RouterLint(seed: TestSeed.value).run(on: terse)
    let undecided = result.findings.filter { $0.verdict == .undecided }.map(\.check)
    #expect(undecided == [.forward, .expertInput, .inputsUnchanged, .auxiliaryLoss, .auxiliaryGradient])
    #expect(result.verdict == .undecided)
  }

  @Test func answersOfAnotherShapeEndTheBattery() throws {
    let profile = RouterProfile(name: "short", experts: 3)
    let router = ClosureRouter(profile) { _ in RouterAnswer(choice: [[0]], multipliers: [[1]], gradient: [[0, 0]]) }
    let error = #expect(throws: RouterFailure.self) { try RouterLint().run(on: router) }
    #expect(error?.description == "repeatability, call 1: gradient[0]: expected 3 entries, got 2")
    let impossible = ClosureRouter(RouterProfile(name: "x", experts: 1)) { _ in
      RouterAnswer(choice: [], multipliers: [], gradient: [])
    }
    let other = #expect(throws: RouterFailure.self) { try RouterLint().run(on: impossible) }
    #expect(other?.description == "the router's profile: experts: expected 2 to 1024 experts, got 1")
  }

  @Test func strangersAndNaNAreRefutedWhereverTheyComeUp() throws {
    let profile = RouterProfile(name: "x", experts: 3, gates: .softmax)
    for (answer, words) in [
      (RouterAnswer(choice: [[3]], multipliers: [[1]], gradient: [[0, 0, 0]]), "expert 3, of 0 to 2"),
      (RouterAnswer(choice: [[0]], multipliers: [[.nan]], gradient: [[0, 0, 0]]), "multipliers[0][0] is not a finite"),
      (
        RouterAnswer(choice: [[0]], multipliers: [[1]], gradient: [[0, .infinity, 0]]), "gradient[0][1] is not a finite"
      ),
    ] {
      let result = try RouterLint(checks: [.gateOrder]).run(on: ClosureRouter(profile) { _ in answer })
      #expect(result.findings.map(\.check) == [.repeatability, .gateOrder])
      #expect(result[.gateOrder]?.verdict == .refuted)
      #expect(result[.gateOrder]?.detail.contains(words) == true)
    }
  }

  @Test(arguments: PlantedRouter.all)
  func plantedFaultsAreCaught(_ planted: PlantedRouter) throws {
    let result = try RouterLint(seed: TestSeed.value).run(on: planted.faulty)
    #expect(result.verdict == .refuted)
    let finding = try #require(result[planted.caughtBy])
    #expect(finding.verdict == .refuted, "\(finding.detail)")
  }
}
