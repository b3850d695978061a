import Foundation
import Testing
import _TestSupport

@testable import RoutingCore

private let worst = WorstError("subsets")

/// `reference/subsets-mpmath.json`.
private struct SubsetReference: Decodable, Sendable {
  var cases: [Case]

  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    var name: String
    var logits: [Double?]
    var least: Int
    var most: Int
    var logNormalizer: ReferenceNumber
    var marginals: [ReferenceNumber]
    var complements: [ReferenceNumber]
    var rows: [Int]
    var covariances: [[ReferenceNumber]]

    var testDescription: String { name }

    func law() throws -> ConditionalBernoulli {
      try ConditionalBernoulli(logits: logits.map { $0 ?? -.infinity }, sizes: least...most)
    }
  }

  static let cases = (try? Fixtures.decode(Self.self, from: "reference/subsets-mpmath.json").cases) ?? []
}

/// The conditional Bernoulli law against 1000-digit arithmetic and against all subsets written out.
@Suite(.seeded, .reporting(worst)) struct ConditionalBernoulliTests {
  /// Relative, of every single number.
  static let bound = 1e-12

  @Test func fileIsComplete() { #expect(SubsetReference.cases.count == 76) }

  @Test(arguments: SubsetReference.cases)
  private func agreesWithHighPrecision(_ reference: SubsetReference.Case) throws {
    let law = try reference.law()
    func compare(_ quantity: String, _ ours: Double, _ exact: Double, _ place: String = "") {
      // Subnormal numbers have fewer digits.
      let error = (ours - exact).magnitude / max(exact.magnitude, 1e-290)
      worst.record(error, of: quantity, at: "\(reference.name) \(place)")
      #expect(error <= Self.bound, "\(quantity) \(place): \(ours), not \(exact)")
    }
    let exact = reference.logNormalizer.value
    let size = reference.logits.compactMap { $0?.magnitude }.reduce(1, max)  // of what cancels in the sum
    let error = (law.logNormalizer - exact).magnitude / size
    #expect(error <= Self.bound, "log Z: \(law.logNormalizer), not \(exact)")
    for i in law.logits.indices {
      compare("marginal", law.marginals[i], reference.marginals[i].value, "\(i)")
      compare("complement", law.complements[i], reference.complements[i].value, "\(i)")
    }
    let covariance = law.covariance
    for (row, i) in reference.rows.enumerated() {
      for j in law.logits.indices {
        compare("covariance", covariance[i, j], reference.covariances[row][j].value, "\(i), \(j)")
        #expect(covariance[i, j] == covariance[j, i])
      }
    }
  }

  /// Every subset of the sizes, in lexicographic order within each.
  static func subsets(of n: Int, _ sizes: ClosedRange<Int>) -> [[Int]] {
    (0..<(1 << n)).map { bits in (0..<n).filter { bits >> $0 & 1 == 1 } }.filter { sizes.contains($0.count) }
  }

  @Test(arguments: [
    (1, 1...1), (4, 2...2), (6, 0...0), (6, 1...1), (7, 3...3), (7, 7...7), (6, 0...6), (8, 2...5), (12, 6...6),
  ])
  func probabilitiesAreThoseOfAllSubsets(_ n: Int, _ sizes: ClosedRange<Int>) throws {
    var generator = TestSeed.generator("subsets of \(n), \(sizes)")
    let law = try ConditionalBernoulli(logits: generator.normals(n, spread: 2), sizes: sizes)
    let all = Self.subsets(of: n, sizes)
    let shares = all.map { subset in exp(subset.reduce(0) { $0 + law.logits[$1] }) }
    let total = shares.reduce(0, +)
    var sum = CompensatedSum()
    for (subset, share) in zip(all, shares) {
      let (probability, root) = law.probability(of: subset)
      #expect(root == nil)
      #expect((probability - share / total).magnitude <= 1e-13 * probability, "\(subset)")
      expectClose(law.logProbability(of: subset), log(share / total), within: 1e-12)
      sum += probability
    }
    expectClose(sum.value, 1, within: 1e-14)
    #expect(law.probability(of: Array(0..<n) + [0]).value == 0)
  }

  /// Of 20,000 samples; α is 1e-6 for each subset's frequency.
  @Test(arguments: [(5, 2...2), (6, 3...3), (5, 1...4), (4, 0...4), (3, 3...3), (4, 0...0)])
  func samplesHaveTheirFrequencies(_ n: Int, _ sizes: ClosedRange<Int>) throws {
    var generator = TestSeed.generator("samples of subsets of \(n), \(sizes)")
    var logits = generator.normals(n)
    if n > sizes.upperBound { logits[1] = -.infinity }
    let law = try ConditionalBernoulli(logits: logits, sizes: sizes)
    var counts: [[Int]: Int] = [:]
    for _ in 0..<20_000 { counts[law.sample(using: &generator), default: 0] += 1 }
    var seen = 0
    for subset in Self.subsets(of: n, sizes) {
      let count = counts[subset] ?? 0
      seen += count
      let reason = StatisticalBounds.refutation(
        successes: count, of: 20_000, probability: law.probability(of: subset).value)
      #expect(reason == nil, "\(subset): \(reason ?? "")")
    }
    #expect(seen == 20_000)
  }

  /// Hostile logits: nothing is NaN, certain items are certain, samples have a size that they may have.
  @Test(
    arguments: [
      [1e4, -1e4, 1e4, -1e4], [1.7e308, -1.7e308, 1.7e308, 0], [-.infinity, 5, -.infinity, 5], [0, 0, 0, 0],
      [1e13, 2e13, -3e13, 1e300], [-1e13, -2e13, -3e13, -4e13], [-5e-324, 0, 5e-324, 1],
    ] as [[Double]])
  func hostileLogits(_ logits: [Double]) throws {
    let finite = logits.filter { $0 > -.infinity }.count
    var generator = TestSeed.generator("hostile subsets")
    for low in 0...finite {
      for high in low...finite {
        let law = try ConditionalBernoulli(logits: logits, sizes: low...high)
        let numbers = law.marginals + law.complements + law.covariance.elements
        #expect(!law.logNormalizer.isNaN && numbers.allSatisfy(\.isFinite), "\(low) to \(high)")
        #expect(
          law.marginals.allSatisfy { (0...1).contains($0) } && law.complements.allSatisfy { (0...1).contains($0) })
        for (mu, rest) in zip(law.marginals, law.complements) { expectClose(mu + rest, 1, within: 1e-15) }
        if low == high { expectClose(law.marginals.reduce(0, +), Double(low), within: 1e-14) }
        for _ in 0..<20 {
          let subset = law.sample(using: &generator)
          #expect((low...high).contains(subset.count) && subset.allSatisfy { logits[$0] > -.infinity })
          #expect(law.logProbability(of: subset) > -.infinity)
        }
      }
    }
    let one = try ConditionalBernoulli(logits: logits, sizes: 1...1)
    let best = logits.indices.filter { logits[$0] == logits.max() }
    if best.count == 1, logits[best[0]] - logits.filter({ $0 < logits[best[0]] }).reduce(-.infinity, max) > 40 {
      #expect(one.marginals[best[0]] == 1)
    }
  }

  @Test func orderOfDistantLogitsIsKept() throws {
    let law = try ConditionalBernoulli(logits: [-1e13, -2e13, 3, -4e300], sizes: 2...3)
    #expect(law.marginals == [1, 0, 1, 0])
    let positive = try ConditionalBernoulli(logits: [2e13, 1e13, 3e300], sizes: 1...2)
    #expect(positive.marginals == [1, 0, 1])
  }

  @Test func whatIsNoLawIsRefused() {
    #expect(throws: InvalidInput("logits[1]", "expected a number or -inf, got nan")) {
      try ConditionalBernoulli(logits: [0, .nan], size: 1)
    }
    #expect(throws: InvalidInput("logits[0]", "expected a number or -inf, got inf")) {
      try ConditionalBernoulli(logits: [.infinity, 0], size: 1)
    }
    #expect(throws: InvalidInput("k", "expected at most as many as there are finite logits, 1, got 2")) {
      try ConditionalBernoulli(logits: [-.infinity, 0], size: 2)
    }
  }

  /// μ is the gradient of log Z, and the covariance that of μ.
  @Test(arguments: [3...3, 2...4])
  func derivatives(_ sizes: ClosedRange<Int>) throws {
    var generator = TestSeed.generator("derivatives of subsets")
    let logits = generator.normals(7)
    let law = try ConditionalBernoulli(logits: logits, sizes: sizes)
    let direction = generator.normals(7)
    let h = 1e-4
    func moved(_ step: Double) throws -> ConditionalBernoulli {
      try ConditionalBernoulli(logits: zip(logits, direction).map { $0 + step * $1 }, sizes: sizes)
    }
    let (up, down) = (try moved(h), try moved(-h))
    expectClose((up.logNormalizer - down.logNormalizer) / (2 * h), dot(law.marginals, direction), within: 1e-7)
    let product = law.covarianceProduct(law.covariance, direction)
    for i in 0..<7 { expectClose((up.marginals[i] - down.marginals[i]) / (2 * h), product[i], within: 1e-7) }
  }
}
