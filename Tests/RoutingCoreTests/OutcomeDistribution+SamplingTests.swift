import Testing
import _TestSupport

@testable import RoutingCore

/// Frequencies of samples, at the suite's stated error rate.
@Suite(.seeded) struct OutcomeSamplerTests {
  @Test func impossibleOutcomesAreNeverDrawn() {
    let distribution = RoutingDistribution(logits: [0, 0, 0])
    let list = OutcomeDistribution(
      distribution: distribution,
      outcomes: [0, 0.5, 0, 0.25, 0.25, 0].enumerated().map {
        Outcome(
          choice: [$0.offset % 3], coins: [$0.offset], probability: $0.element, gradient: .dense([0, 0, 0]))
      })
    let sampler = OutcomeSampler(list)
    var generator = TestSeed.generator("impossible outcomes")
    var counts = [Int](repeating: 0, count: 6)
    let samples = 20_000
    for _ in 0..<samples { counts[sampler.sample(using: &generator).coins[0]] += 1 }
    #expect(counts[0] == 0 && counts[2] == 0 && counts[5] == 0)
    for (count, outcome) in zip(counts, list.outcomes) {
      let reason = StatisticalBounds.refutation(
        successes: count, of: samples, probability: outcome.probability)
      #expect(reason == nil)
    }
  }

  /// The uniform draw's own extremes stay within the list.
  @Test(arguments: [0 as UInt64, .max])
  func extremeDraws(_ bits: UInt64) {
    let distribution = RoutingDistribution(logits: [3, -50, 1, -60])
    let list = OutcomeDistribution(
      distribution: distribution,
      outcomes: distribution.support.map {
        Outcome(choice: [$0], probability: distribution.probabilities[$0], gradient: .score(weight: 1))
      })
    var generator = PhiloxTests.Constant(value: bits)
    let drawn = OutcomeSampler(list).sample(using: &generator).choice
    #expect(drawn == (bits == 0 ? [0] : [2]) || drawn == [3] || drawn == [1])
  }

  @Test(arguments: [2, 3, 4])
  func severalDraws(_ draws: Int) throws {
    let list = OutcomeDistributionTests.pairs(3, samples: draws)
    let sampler = OutcomeSampler(list)
    var generator = TestSeed.generator("several draws \(draws)")
    var counts: [[Int]: Int] = [:]
    let samples = 20_000
    for _ in 0..<samples {
      let sample = sampler.sample(using: &generator)
      #expect(sample.choice.count == draws)
      counts[sample.choice, default: 0] += 1
    }
    for outcome in try list.enumerated() {
      let reason = StatisticalBounds.refutation(
        successes: counts[outcome.choice] ?? 0, of: samples, probability: outcome.probability)
      #expect(reason == nil, "\(outcome.choice)")
    }
  }

  @Test func sameSeedSameSamples() {
    let list = OutcomeDistributionTests.pairs(4, samples: 3)
    let sampler = OutcomeSampler(list)
    var (a, b) = (Philox(seed: 1, stream: 2), Philox(seed: 1, stream: 2))
    for _ in 0..<50 { #expect(sampler.sample(using: &a) == sampler.sample(using: &b)) }
  }
}
