import RouteGrad
import Testing

/// The verdicts that README and guides promise, each asked for once.
struct PromisedVerdictsTests {
  /// Driven through all of its outcomes, an implementation is proved right, or refuted with the outcome that shows it.
  @Test(arguments: [(1.0, Verdict.proved), (1.01, .refuted)])
  func outcomes(factor: Double, verdict: Verdict) throws {
    let problem = try problem()
    let outcomes = try ReinMax().finiteOutcomes(on: problem)
    let foreign = try outcomes.enumerated().map { outcome in
      ForeignOutcome(
        draw: ForeignDraw(choice: outcome.choice), probability: outcome.probability, multiplier: outcome.multiplier,
        gradient: outcomes.gradient(of: outcome).map { factor * $0 })
    }
    let claim = try Claim(ReinMax(), on: problem)
    let evidence = OutcomeVerifier.verdict(on: foreign, claim: claim, criteria: Criteria(relativeTolerance: 1e-9))
    #expect(evidence.verdict == verdict && (evidence.counterExample != nil) == (verdict == .refuted))
    let report = VerdictReport(evidence, on: problem)
    #expect(report.text(style: .plain).hasPrefix(verdict.rawValue) && report.json.contains(verdict.rawValue))

    // The two comparisons that the verdict is made of.
    var conformance = try ConditionalConformance(with: outcomes, tolerance: 1e-9, tellsCoins: false)
    let compared = foreign.enumerated().map { row, outcome in
      conformance.compare(outcome.gradient, of: outcome.draw ?? ForeignDraw(choice: []), row: row)
    }
    #expect(compared.allSatisfy { if case .success = $0 { verdict == .proved } else { verdict == .refuted } })
    let moments = ExactMomentComparison(of: foreign, with: claim, tolerance: 1e-9, probabilityTolerance: 1e-9)
    #expect((moments.counterExample == nil) == (verdict == .proved))
  }

  /// Samples with nothing else known: what is right is found consistent, with as many samples as were said to be needed, and what
  /// is half as long is refuted.
  @Test(arguments: [(1.0, Verdict.consistent), (0.5, .refuted)])
  func samples(factor: Double, verdict: Verdict) throws {
    let problem = try problem()
    let outcomes = try Reinforce().finiteOutcomes(on: problem)
    let sampler = OutcomeSampler(outcomes)
    var generator = Philox(seed: 2)
    var verifier = try SampleVerifier(Claim(Reinforce(), on: problem), criteria: Criteria(relativeDetectableBias: 0.2))
    func batch() -> [Double] {
      (0..<500).flatMap { _ in outcomes.gradient(of: sampler.sample(using: &generator)).map { factor * $0 } }
    }
    while verifier.add(batch()) {}
    let evidence = verifier.finish()
    #expect(evidence.verdict == verdict && evidence.samples > 0)
  }

  @Test func aMean() throws {
    var test = SequentialMeanTest(
      mean: [0], bounds: SampleBounds(-1...1, coordinates: 1), tolerance: 1e-6, detectableBias: 0.2,
      rates: ErrorRates(falseFail: 1e-6, falsePass: 1e-3))
    var generator = Philox(seed: 3)
    while !test.hasPassed, test.count < 100_000 {
      try test.add((0..<test.untilNextLook).map { _ in 2 * generator.nextOpenUnit() - 1 })
    }
    #expect(test.hasPassed && test.logEValue < 10 && test.intervals[0].contains(test.sampleMean[0]))
  }

  @Test func aDesign() {
    let design = SampleSizeDesign(coordinates: 3, deviation: 1, range: 4)
    let needed = design.requiredSamples(toDetect: 0.1)
    #expect(design.detectableBias(samples: needed) <= 0.1 && design.detectableBias(samples: needed - 1) > 0.1)
  }

  /// A router without a gradient, by the name of the check that finds it.
  @Test func aRouter() throws {
    let router = ClosureRouter(RouterProfile(name: "flat", experts: 4, gates: .softmax)) { call in
      let choice = call.logits.map { logits in [logits.indices.max { logits[$0] < logits[$1] } ?? 0] }
      return RouterAnswer(
        choice: choice, multipliers: choice.map { _ in [1] }, gradient: call.logits.map { $0.map { _ in 0 } },
        output: zip(choice, call.expertOutputs).map { $1[$0[0]] }, logitsAfter: call.logits)
    }
    let result = try RouterLint(checks: [.routerGradient]).run(on: router)
    #expect(result.verdict == .refuted && result[.routerGradient]?.verdict == .refuted && result.calls > 0)
    #expect(LintReport(result).json.contains("router-gradient"))
  }

  private func problem() throws -> RoutedProblem {
    try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: [0.3, -0.2, 0.8], expertOutputs: [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]],
          loss: LogCosh(scales: [1, 2], targets: [0.5, -0.5]))))
  }
}
