import Foundation
import Testing
import _TestSupport

@testable import RoutingCore

private let worst = WorstError("Plackett–Luce")

/// `reference/plackett-luce-mpmath.json`.
private struct OrderReference: Decodable, Sendable {
  var cases: [Case]

  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    var name: String
    var logits: [Double?]
    var subsets: [Entry]

    var testDescription: String { name }
  }

  struct Entry: Decodable, Sendable {
    var subset: [Int]
    var probability: ReferenceNumber
    var logProbability: ReferenceNumber
    var score: [ReferenceNumber]
    var first: [ReferenceNumber]
    var second: [[ReferenceNumber]]
  }

  static let cases = (try? Fixtures.decode(Self.self, from: "reference/plackett-luce-mpmath.json").cases) ?? []
}

/// Subsets drawn without replacement against sums over all orders in 200 digits.
@Suite(.seeded, .reporting(worst)) struct PlackettLuceTests {
  static let bound = 1e-12

  @Test func fileIsComplete() { #expect(OrderReference.cases.count == 19) }

  @Test(arguments: OrderReference.cases)
  private func agreesWithAllOrders(_ reference: OrderReference.Case) throws {
    let logits = reference.logits.map { $0 ?? -.infinity }
    let size = try #require(reference.subsets.first).subset.count
    let law = try PlackettLuce(logits: logits, size: size)
    for entry in reference.subsets {
      let place = "\(reference.name) \(entry.subset)"
      func compare(_ quantity: String, _ ours: [Double], _ exact: [ReferenceNumber], isEach: Bool) {
        for (a, b) in zip(ours, exact.values) {
          // Each number by itself (but for what 200 digits do not tell from 0), or, where they have both signs, relative to the largest.
          let size = isEach ? b.magnitude : exact.values.reduce(0) { max($0, $1.magnitude) }
          let error = (a - b).magnitude / max(size, 1e-150)
          worst.record(error, of: quantity, at: place)
          #expect(error <= Self.bound, "\(quantity) of \(place): \(a), not \(b)")
        }
      }
      compare("probability", [law.probability(of: entry.subset).value], [entry.probability], isEach: true)
      let logarithm = entry.logProbability.value
      expectClose(
        law.logProbability(of: entry.subset), logarithm, within: 1e-12 * max(1, logarithm.magnitude), place)
      let score = law.score(of: entry.subset)
      compare("score", score, entry.score, isEach: false)
      #expect(
        score.reduce(0, +).magnitude <= 1e-14 * score.reduce(1e-300) { max($0, $1.magnitude) } * Double(logits.count))
      let (first, second) = law.firsts(of: entry.subset)
      compare("first", first, entry.first, isEach: true)
      for (row, exact) in zip(second, entry.second) { compare("second", row, exact, isEach: true) }
    }
  }

  @Test func ordersSumToTheirSet() throws {
    var generator = TestSeed.generator("orders")
    let law = try PlackettLuce(logits: generator.normals(6), size: 3)
    for subset in ConditionalBernoulliTests.subsets(of: 6, 3...3) {
      let (a, b, c) = (subset[0], subset[1], subset[2])
      let orders = [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]]
      let sum = orders.reduce(0) { $0 + exp(law.logProbability(ofOrder: $1)) }
      expectClose(sum, law.probability(of: subset).value, within: 1e-15)
    }
    #expect(law.logProbability(ofOrder: [0, 1, 1]) == -.infinity)
    #expect(law.logProbability(ofOrder: [0, 1]) == -.infinity)
  }

  /// Of 20,000 samples; α is 1e-6 for each subset's frequency.
  @Test(arguments: [(4, 1), (5, 2), (6, 3), (4, 4)])
  func samplesHaveTheirFrequencies(_ n: Int, _ k: Int) throws {
    var generator = TestSeed.generator("samples of \(k) of \(n)")
    var logits = generator.normals(n)
    if k < n { logits[1] = -.infinity }
    let law = try PlackettLuce(logits: logits, size: k)
    var counts: [[Int]: Int] = [:]
    for _ in 0..<20_000 { counts[law.sample(using: &generator), default: 0] += 1 }
    var seen = 0
    for subset in ConditionalBernoulliTests.subsets(of: n, k...k) {
      let count = counts[subset] ?? 0
      seen += count
      let reason = StatisticalBounds.refutation(
        successes: count, of: 20_000, probability: law.probability(of: subset).value)
      #expect(reason == nil, "\(subset): \(reason ?? "")")
    }
    #expect(seen == 20_000)
  }

  @Test func hostileLogits() throws {
    var generator = TestSeed.generator("hostile orders")
    let rows: [[Double]] = [
      [1e4, -1e4, 1e4, -1e4], [1.7e308, -1.7e308, 1.7e308, 0], [-.infinity, 5, -.infinity, 5], [0, 0, 0, 0],
    ]
    for logits in rows {
      for k in 0...logits.filter({ $0 > -.infinity }).count {
        let law = try PlackettLuce(logits: logits, size: k)
        var sum = 0.0
        for subset in ConditionalBernoulliTests.subsets(of: 4, k...k) {
          let probability = law.probability(of: subset).value
          #expect((0...1).contains(probability))
          sum += probability
          guard law.logProbability(of: subset) > -.infinity else { continue }
          let score = law.score(of: subset)
          #expect(score.allSatisfy { $0.isFinite })
          let (first, second) = law.firsts(of: subset)
          for share in first + second.flatMap({ $0 }) { #expect(share >= 0 && share <= 1 + 1e-15) }
        }
        expectClose(sum, 1, within: 1e-14)
        #expect(law.sample(using: &generator).count == k)
      }
    }
    #expect(throws: InvalidInput("k", "expected at most as many as there are finite logits, 1, got 2")) {
      try PlackettLuce(logits: [0, -.infinity], size: 2)
    }
    #expect(throws: InvalidInput("logits[0]", "expected a number or -inf, got nan")) {
      try PlackettLuce(logits: [.nan], size: 1)
    }
  }
}
