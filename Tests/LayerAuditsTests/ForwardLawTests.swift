import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

@testable import LayerAudits

/// What an estimator claims about what experts see of it, against its own outcomes.
@Suite(.seeded) struct ForwardLawTests {
  private static let estimators: [any FiniteOutcomeEstimator] = EstimatorSpecifications.all.compactMap {
    try? EstimatorRegistry.estimator($0) as? any FiniteOutcomeEstimator
  }.filter { $0.claims.kinds.contains(.mixture) }

  private static func problems(_ name: String) throws -> [RoutedProblem] {
    var random = TestSeed.generator(name)
    return try [1, 2, 3, 6].flatMap { experts in
      try [Mask.none, .paper(threshold: 0.4), .referenceCode(threshold: 0.3)].map { mask in
        try RoutedProblem(
          .mixture(
            MixtureProblem(
              logits: random.normals(experts), expertOutputs: (0..<experts).map { _ in random.normals(2) },
              standIns: (0..<experts).map { _ in random.normals(2) },
              loss: Linear(coefficients: random.normals(2)))),
          mask: mask)
      }
    }
  }

  private static func events(
    _ law: ForwardLaw, _ problem: RoutedProblem, _ outcomes: OutcomeDistribution
  ) throws -> ForwardEvents {
    try ForwardEvents(
      law, on: problem, pairs: law.isOfPairs ? PairDistribution(problem) : nil,
      firsts: 0..<problem.distribution.support.count, outcomes: outcomes)
  }

  @Test("every estimator's events are its outcomes, in their order", arguments: estimators.map(\.specification))
  func outcomes(_ specification: String) throws {
    let estimator = try #require(try EstimatorRegistry.estimator(specification) as? any FiniteOutcomeEstimator)
    var checked = 0
    for problem in try Self.problems(specification) {
      guard let outcomes = try? estimator.finiteOutcomes(on: problem) else { continue }
      checked += 1
      #expect(outcomes.samples == estimator.claims.averagedDraws)
      let law = estimator.forwardLaw
      if outcomes.samples > 1 {
        #expect(law == .plainDraw, "an average of draws is one of plain draws")
        continue
      }
      let events = try Self.events(law, problem, outcomes)
      if law.isAveraged {
        #expect(outcomes.count == 1 && outcomes.outcomes[0].choice.isEmpty, "no randomness is left")
        continue
      }
      #expect(events.count == outcomes.count)
      for (event, outcome) in zip(events.events, outcomes.outcomes) {
        #expect(event.probability == outcome.probability)
        let slots = events.slots[event.slots]
        for (expert, multiplier) in zip(outcome.choice, outcome.multiplier ?? []) {
          #expect(slots.contains { $0.expert == expert && $0.forward == multiplier && $0.backward == multiplier })
        }
        #expect(
          slots.allSatisfy {
            outcome.choice.contains($0.expert) != $0.isStandIn || law == .denseBackward && $0.forward == 0
          })
      }
    }
    // Some problems have fewer experts than a subset takes.
    #expect(checked >= (estimator.claims.subsets == nil ? 9 : 2))
  }

  @Test(
    "experts without a part: what is formed without subtraction is what the events leave",
    arguments: [
      ForwardLaw.plainDraw, .denseBackward, .denseMixture, .expectation(draws: 1), .expectation(draws: 2),
      SparseMixerV2().forwardLaw, SparseMixerV2Top2().forwardLaw,
    ])
  func idle(_ law: ForwardLaw) throws {
    for problem in try Self.problems("idle") where problem.experts > 1 {
      let pairs = law.isOfPairs ? try PairDistribution(problem) : nil
      let none = OutcomeDistribution(distribution: problem.distribution, outcomes: [])
      let events = try Self.events(law, problem, none)
      var takesPart = [Double](repeating: 0, count: problem.experts)
      for slot in events.slots { takesPart[slot.expert] += events.events[slot.event].probability }
      for (found, part) in zip(law.idle(on: problem, pairs: pairs, events: events), takesPart) {
        // Outside the mask nothing is asked of the probability.
        if part > 0 { expectClose(found, 1 - part, within: 1e-14) }
      }
    }
  }

  @Test("laws are shared: one for every plain draw, one for every ray rule of the same outputs")
  func shared() {
    #expect(Reinforce().forwardLaw == StraightThrough(temperature: 0.3).forwardLaw)
    #expect(ReinMax().forwardLaw == FirstOrder().forwardLaw)
    #expect(SparseMixerV2().forwardLaw != SparseMixerV2(referenceConstants: true).forwardLaw)
    #expect(DenseMixer().forwardLaw == .plainDraw)
    #expect(DefaultMoE().forwardLaw == .standIns(chosen: 1))
  }
}
