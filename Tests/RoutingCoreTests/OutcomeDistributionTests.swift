import Testing
import _TestSupport

@testable import RoutingCore

/// Lists of outcomes: gradients written out, runs of several draws, and their limits.
@Suite(.seeded) struct OutcomeDistributionTests {
  @Test func gradientsWrittenOut() {
    let distribution = RoutingDistribution(logits: [0, 0])
    let follow = RoutingDistribution(logits: [0, 0], excluding: 0)
    let list = OutcomeDistribution(distribution: distribution, followUps: [0: follow], outcomes: [])
    func gradient(_ gradient: OutcomeGradient, choice: [Int]) -> [Double] {
      list.gradient(of: Outcome(choice: choice, probability: 1, gradient: gradient))
    }
    #expect(gradient(.score(weight: 3), choice: [1]) == [-1.5, 1.5])
    #expect(gradient(.dense([4, -4]), choice: []) == [4, -4])
    #expect(
      gradient(
        .scores([ScoreTerm(choice: 0, weight: 2), ScoreTerm(choice: 1, weight: 5, after: 0)]), choice: [0, 1])
        == [1, -1])  // the second term is 5 (1 − 1) for the only expert left
  }

  @Test func scoreNeedsAChoice() async {
    await #expect(processExitsWith: .failure) {
      let list = OutcomeDistribution(distribution: RoutingDistribution(logits: [0]), outcomes: [])
      _ = list.gradient(of: Outcome(choice: [], probability: 1, gradient: .score(weight: 1)))
    }
  }

  /// A random symmetric kernel on a distribution.
  static func pairs(_ experts: Int, samples: Int, spread: Double = 1) -> OutcomeDistribution {
    var generator = TestSeed.generator("pairs \(experts) \(samples)")
    let distribution = RoutingDistribution(logits: generator.normals(experts, spread: spread))
    let rows = (0..<experts * experts).map { _ in generator.normals(experts) }
    return OutcomeDistribution(
      distribution: distribution, samples: samples, multiplier: { distribution.probabilities[$0] },
      kernel: { i, j in .dense(rows[min(i, j) * experts + max(i, j)]) })
  }

  @Test(arguments: [1, 2, 3, 4], [2, 3, 4])
  func momentsOfPairsAgreeWithEnumeration(_ experts: Int, _ samples: Int) throws {
    let list = Self.pairs(experts, samples: samples)
    let all = try list.enumerated()
    var expected = 1
    for _ in 0..<samples { expected *= experts }
    #expect(list.count == expected && all.count == expected)
    expectClose(all.reduce(0) { $0 + $1.probability }, 1, within: 1e-14)
    #expect(all.allSatisfy { $0.choice.count == samples && $0.multiplier?.count == samples })
    let written = OutcomeDistribution(
      distribution: list.distribution,
      outcomes: all.map {
        Outcome(choice: $0.choice, probability: $0.probability, gradient: .dense(list.gradient(of: $0)))
      })
    let (ours, brute) = (list.moments(covariance: true), written.moments(covariance: true))
    expectClose(ours.mean, brute.mean, relative: 1e-13)
    expectClose(ours.variance, brute.variance, relative: 1e-13, scale: 1e-3)
    expectClose(
      try #require(ours.covariance).elements, try #require(brute.covariance).elements, relative: 1e-13,
      scale: 1e-3)
    expectClose(ours.totalVariance, ours.variance.reduce(0, +), ulps: 8)
    let plain = list.moments()
    expectClose(plain.variance, ours.variance, relative: 1e-14)
    #expect(plain.covariance == nil)
  }

  @Test func firstDrawIsTheMostSignificant() throws {
    let all = try Self.pairs(2, samples: 3).enumerated()
    #expect(
      all.map(\.choice) == [
        [0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1],
      ])
  }

  @Test func enumerationHasALimit() throws {
    #expect(OutcomeDistribution.enumerationLimit == 1 << 20)
    let most = Self.pairs(2, samples: 20)
    #expect(most.count == 1 << 20)
    let tooMany = Self.pairs(2, samples: 21)
    #expect(tooMany.count == 1 << 21)
    #expect(throws: Unavailable("has 2^21 outcomes, more than the 1048576 written out")) {
      try tooMany.enumerated()
    }
    let beyond = Self.pairs(4, samples: 40)
    #expect(beyond.count == nil)
    #expect(throws: Unavailable.self) { try beyond.enumerated() }
    #expect(beyond.moments().isFinite)
  }

  @Test func manyDrawsAverageOut() {
    // Var ~ 4 ζ₁/K: a hundred times the draws, about a hundredth of the variance.
    let few = Self.pairs(3, samples: 1000)
    let many = OutcomeDistribution(
      distribution: few.distribution, samples: 100_000, multiplier: nil
    ) { i, j in few.outcomes[i * 3 + j].gradient }
    expectClose(
      many.moments().totalVariance, few.moments().totalVariance / 100,
      within: 1e-3 * few.moments().totalVariance)
  }

  @Test func averageNeedsTwoDraws() async {
    await #expect(processExitsWith: .failure) {
      _ = OutcomeDistribution(
        distribution: RoutingDistribution(logits: [0]), samples: 1, multiplier: nil
      ) { _, _ in .dense([0]) }
    }
  }
}
