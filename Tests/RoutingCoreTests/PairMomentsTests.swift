import Testing
import _TestSupport

@testable import RoutingCore

/// Moments of pairs, and covariances of multiples of the score, by formulas against those of the list of outcomes.
@Suite(.seeded) struct PairMomentsTests {
  /// Logits: near each other, one expert nearly certain, and one whose follow-up is.
  static let spreads: [[Double]] = [[1, 1], [0, 0], [30, 1], [30, 20], [1, 40]]

  /// Pairs of random weights, without replacement or independent, with a coin of two sides or none; all on a support.
  static func pairs(
    _ experts: Int, _ steps: [Double], isIndependent: Bool, hasCoin: Bool, mask: Mask = .none, size: Double = 1,
    holding held: Int = PairOutcomes.heldEvents
  ) throws -> PairOutcomes {
    var random = TestSeed.generator("pairs \(experts) \(steps) \(isIndependent) \(hasCoin)")
    var logits = random.normals(experts)
    for (k, step) in steps.enumerated() where k < experts { logits[k] += step }
    let first = RoutingDistribution(logits: logits, mask: mask)
    var followUps: [Int: RoutingDistribution] = [:]
    if !isIndependent {
      for i in first.support { followUps[i] = RoutingDistribution(logits: logits, mask: mask, excluding: i) }
    }
    let coin: [PairOutcomes.Side] =
      hasCoin
      ? [.init(label: 0, probability: 0.75, output: 0.5), .init(label: 1, probability: 0.25)] : [.init()]
    return PairOutcomes(
      first: first, followUps: followUps, argmax: [hasCoin ? .init(label: 1) : .init()], others: coin,
      hasMultiplier: true, holding: held
    ) { i, _, events in
      var random = TestSeed.generator("pairs \(experts) \(steps) \(isIndependent) \(hasCoin) after \(i)")
      for k in events.indices {
        let weights = random.normals(2)
        events[k].weights = (size * (1 + weights[0]), size * (0.5 * weights[0] + weights[1] - 0.3))
      }
    }
  }

  /// The same outcomes as a list of vectors.
  static func written(_ list: OutcomeDistribution) -> OutcomeDistribution {
    OutcomeDistribution(
      distribution: list.distribution, followUps: list.followUps,
      outcomes: list.outcomes.map {
        Outcome(
          choice: $0.choice, coins: $0.coins, probability: $0.probability, gradient: .dense(list.gradient(of: $0))
        ).rooted($0.root)
      })
  }

  static func expectSame(_ ours: Moments, _ listed: Moments, within error: Double, _ comment: Comment) throws {
    let scale = norm(listed.mean) + listed.totalVariance.squareRoot()
    for (mean, expected) in zip(ours.mean, listed.mean) { expectClose(mean, expected, within: error * scale) }
    for (variance, expected) in zip(ours.variance, listed.variance) {
      #expect((variance - expected).magnitude <= error * expected + 1e-28 * scale * scale, comment)
    }
    guard let expected = listed.covariance else { return }
    let found = try #require(ours.covariance)
    for k in listed.mean.indices {
      #expect(found[k, k] == ours.variance[k])
      for l in listed.mean.indices {
        let size = (listed.variance[k] * listed.variance[l]).squareRoot()
        #expect(
          (found[k, l] - expected[k, l]).magnitude <= error * size + 1e-28 * scale * scale,
          "\(comment): \(k), \(l): \(found[k, l]), \(expected[k, l])")
      }
    }
  }

  @Test("pairs without replacement", arguments: [2, 3, 5, 16], spreads)
  func withoutReplacement(_ experts: Int, _ steps: [Double]) throws {
    for hasCoin in [false, true] {
      for mask in [Mask.none, .paper(threshold: 0.4)] {
        let pairs = try Self.pairs(experts, steps, isIndependent: false, hasCoin: hasCoin, mask: mask)
        let found = try #require(pairs.moments(covariance: true)).pair
        let listed = Self.written(OutcomeDistribution(pairs)).moments(covariance: true)
        try Self.expectSame(found, listed, within: 1e-13, "\(experts), \(steps), \(hasCoin), \(mask)")
        #expect(OutcomeDistribution(pairs).moments() == Moments(mean: found.mean, variance: found.variance))
      }
    }
  }

  /// Events that are made draw by draw, and never held, give the same to the bit; so do those that were asked for by their places before.
  @Test func withoutAList() throws {
    for mask in [Mask.none, .paper(threshold: 0.4)] {
      let held = try Self.pairs(9, [30, 1], isIndependent: false, hasCoin: true, mask: mask)
      let made = try Self.pairs(9, [30, 1], isIndependent: false, hasCoin: true, mask: mask, holding: 0)
      func check() throws {
        let (a, b) = (try #require(held.moments(covariance: true)), try #require(made.moments(covariance: true)))
        #expect(a.pair == b.pair && a.first == b.first)
        var draws: [Int] = []
        made.forEachDraw { i, events in draws += [Int](repeating: i, count: events.count) }
        #expect(draws.count == made.count && made.count == held.count)
        #expect(draws == draws.indices.map(made.firstDraw(at:)))
      }
      try check()
      #expect(OutcomeDistribution(made).outcomes == OutcomeDistribution(held).outcomes)
      try check()
    }
  }

  /// The average over the pairs of K independent draws, whose kernel is symmetric.
  @Test("pairs of independent draws", arguments: [1, 2, 3, 5, 16], spreads)
  func independent(_ experts: Int, _ steps: [Double]) throws {
    var random = TestSeed.generator("independent")
    let values = random.normals(experts)
    let gating = random.normals(experts)
    let logits = Array(zip(random.normals(experts), steps + [Double](repeating: 0, count: experts))).map(+)
    let distribution = RoutingDistribution(logits: logits)
    @Sendable func weights(_ i: Int, _ j: Int) -> (first: Double, second: Double) {
      (0.5 * (values[i] - values[j]) + gating[i], 0.5 * (values[j] - values[i]) + gating[j])
    }
    let pairs = PairOutcomes(first: distribution, hasMultiplier: false) { i, _, events in
      for k in events.indices { events[k].weights = weights(i, Int(events[k].second)) }
    }
    for samples in [2, 3, 10] {
      let listed = OutcomeDistribution(distribution: distribution, samples: samples, multiplier: nil) { i, j in
        .scores([
          ScoreTerm(choice: i, weight: weights(i, j).first), ScoreTerm(choice: j, weight: weights(i, j).second),
        ])
      }
      let compact = OutcomeDistribution(pairs, samples: samples)
      #expect(compact.outcomes == listed.outcomes)
      #expect(compact.count == listed.count)
      #expect(pairs.moments(covariance: true) != nil)
      try Self.expectSame(
        compact.moments(covariance: true), listed.moments(covariance: true), within: 1e-13,
        "\(experts), \(steps), \(samples)")
    }
  }

  @Test("multiples of the score", arguments: [1, 2, 3, 5, 16], spreads)
  func scores(_ experts: Int, _ steps: [Double]) throws {
    var random = TestSeed.generator("scores \(experts) \(steps)")
    let logits = Array(zip(random.normals(experts), steps + [Double](repeating: 0, count: experts))).map(+)
    let distribution = RoutingDistribution(logits: logits)
    for (level, hasCoin) in [(0.0, false), (1, true), (-30, false), (30, true)] {
      let list = OutcomeDistribution(
        distribution: distribution,
        outcomes: distribution.support.flatMap { i in
          (hasCoin ? [0.75, 0.25] : [1]).map { side in
            Outcome(
              choice: [i], probability: side * distribution.probabilities[i],
              gradient: .score(weight: level + random.normals(1)[0]))
          }
        })
      let listed = Self.written(list).moments(covariance: true)
      try Self.expectSame(
        list.moments(covariance: true), listed, within: 1e-13, "\(experts), \(steps), \(level), \(hasCoin)")
      #expect(list.moments(covariance: true).variance == list.moments().variance)
    }
  }

  /// The weight of the most probable expert alone counts: every entry of its row is a product of three small numbers.
  @Test("a certain expert keeps the digits of its row")
  func certain() throws {
    let distribution = RoutingDistribution(logits: [0, -30, -31])
    let (p, q) = (distribution.probabilities, distribution.complements[0])
    let list = OutcomeDistribution(
      distribution: distribution,
      outcomes: [3, 0, 0].enumerated().map {
        Outcome(choice: [$0], probability: p[$0], gradient: .score(weight: $1))
      })
    let covariance = try #require(list.moments(covariance: true).covariance)
    // ĝ = 3 (q, −π₁, −π₂) with probability π₀, else 0.
    let sample = [3 * q, -3 * p[1], -3 * p[2]]
    for k in 0..<3 {
      for l in 0..<3 {
        let expected = p[0] * q * sample[k] * sample[l]
        expectClose(covariance[k, l], expected, within: 1e-14 * expected.magnitude)
      }
    }
  }

  /// Where a square leaves Float64's range that a probability brings back, the list is gone through.
  @Test("squares that overflow")
  func large() throws {
    // The third expert is rare, and its weights alone are huge.
    let distribution = RoutingDistribution(logits: [0, 0.3, -100])
    let pairs = PairOutcomes(
      first: distribution, others: [.init(probability: 0.75), .init(probability: 0.25)], hasMultiplier: false
    ) {
      i, _, events in
      for k in events.indices {
        let coin = Double(events[k].sides.one + events[k].sides.two)
        events[k].weights = (i == 2 ? 1e160 * (1 + coin) : 1, events[k].second == 2 ? 1e160 * (1 - coin) : 2)
      }
    }
    #expect(pairs.moments(covariance: false) == nil)
    let list = OutcomeDistribution(pairs)
    do {
      let (ours, listed) = (list.moments(), Self.written(list).moments())
      #expect(listed.isFinite)
      for (variance, expected) in zip(ours.variance, listed.variance) {
        expectClose(variance, expected, within: 1e-13 * expected)
      }
    }
  }

  @Test("a compact list is the list", arguments: [false, true], [false, true])
  func list(_ isIndependent: Bool, _ hasCoin: Bool) throws {
    let pairs = try Self.pairs(4, [1], isIndependent: isIndependent, hasCoin: hasCoin)
    let list = OutcomeDistribution(pairs)
    func coin(_ expert: Int, _ distribution: RoutingDistribution) -> [Int] {
      expert == distribution.argmax ? [1] : [0, 1]
    }
    var expected: [(choice: [Int], coins: [Int])] = []
    for i in pairs.first.support {
      let second = pairs.follow(i)
      for j in second.support {
        guard hasCoin else {
          expected.append(([i, j], []))
          continue
        }
        for one in coin(i, pairs.first) { for two in coin(j, second) { expected.append(([i, j], [one, two])) } }
      }
    }
    #expect(list.outcomes.map(\.choice) == expected.map(\.choice))
    #expect(list.outcomes.map(\.coins) == expected.map(\.coins))
    #expect(list.outcomes.count == expected.count && list.count == expected.count)
    expectClose(list.outcomes.reduce(0) { $0 + $1.probability }, 1, within: 1e-14)
    for (place, outcome) in list.outcomes.enumerated() {
      var vector = [Double](repeating: 0, count: 4)
      list.addGradient(at: place, to: &vector)
      #expect(vector == list.gradient(of: outcome))
      #expect(pairs.firstDraw(at: place) == outcome.choice[0])
    }
  }
}
