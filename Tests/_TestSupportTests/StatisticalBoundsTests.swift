import RoutingCore
import Testing

@testable import _TestSupport

/// The bounds are what they claim to be: exact tails, and the power to see a wrong coin.
@Suite(.seeded) struct StatisticalBoundsTests {
  private func tail(_ k: Int, _ n: Int, _ p: Double, _ upper: Bool) -> Double {
    StatisticalBounds.binomialTail(k, of: n, probability: p, upper: upper)
  }

  @Test func tailsByHand() {
    // n = 4, p = ½: 1, 4, 6, 4, 1 sixteenths.
    for (k, upper, lower) in [(0, 16.0, 1.0), (1, 15, 5), (2, 11, 11), (3, 5, 15), (4, 1, 16)] {
      expectClose(tail(k, 4, 0.5, true), upper / 16, within: 1e-14)
      expectClose(tail(k, 4, 0.5, false), lower / 16, within: 1e-14)
    }
    // p = ¼, n = 3: P(X ≥ 2) = 9/64 + 1/64.
    expectClose(tail(2, 3, 0.25, true), 10.0 / 64, within: 1e-14)
    expectClose(tail(2, 3, 0.25, false), 63.0 / 64, within: 1e-14)
  }

  @Test func tailsAddUp() {
    for n in [10, 1000, 30_000] {
      for p in [0.001, 0.3, 0.75] {
        for k in [0, n / 10, Int(Double(n) * p), n - 1] {
          expectClose(tail(k, n, p, false) + tail(k + 1, n, p, true), 1, within: 1e-9, "\(k) of \(n), \(p)")
        }
      }
    }
  }

  @Test func certainOutcomes() {
    #expect(StatisticalBounds.refutation(successes: 0, of: 100, probability: 0) == nil)
    #expect(StatisticalBounds.refutation(successes: 1, of: 100, probability: 0) != nil)
    #expect(StatisticalBounds.refutation(successes: 100, of: 100, probability: 1) == nil)
    #expect(StatisticalBounds.refutation(successes: 99, of: 100, probability: 1) != nil)
  }

  /// At the sample size of the conformance suite a coin of ⅔ for ¾ is seen, and one of ¾ passes.
  @Test func power() {
    var generator = TestSeed.generator("power")
    let n = 20_000
    for (truth, isFound) in [(0.75, false), (2.0 / 3, true), (0.8, true)] {
      let hits = (0..<n).count { _ in generator.nextOpenUnit() < truth }
      #expect((StatisticalBounds.refutation(successes: hits, of: n, probability: 0.75) != nil) == isFound)
    }
  }

  @Test func budgetIsKept() {
    #expect(FalseFailures.perComparison * Double(FalseFailures.comparisons) <= FalseFailures.total)
  }

  @Test func meanBoundHoldsAndShrinks() {
    let bounds = [100, 10_000, 1_000_000].map {
      StatisticalBounds.meanDeviation(samples: $0, variance: 0.25, range: 0.5)
    }
    #expect(bounds == bounds.sorted(by: >))
    // Eight standard deviations where the second term rules.
    expectClose(bounds[2], 8.3 * 0.5 / 1000, within: 0.1 * bounds[2])
    var generator = TestSeed.generator("mean bound")
    let mean = (0..<10_000).reduce(0) { sum, _ in sum + (generator.nextOpenUnit() < 0.5 ? 1 : 0) } / 10_000.0
    #expect((mean - 0.5).magnitude <= bounds[1])
  }
}
