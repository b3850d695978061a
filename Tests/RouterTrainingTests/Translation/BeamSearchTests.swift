import Foundation
import MixtureOfExperts
import Testing

@testable import RouterTraining

/// Beam search against all there is to find, and against the network that sees whole sentences.
struct BeamSearchTests {
  private static let sources: [[Int32]] = [[2, 3], [4, 2, 2, 3], [3]]

  private static func network() -> TranslationNetwork<Double> {
    TranslationNetworkTests.network(Double.self, smoothing: 0, vocabulary: 5)
  }

  private static func search(
    _ network: TranslationNetwork<Double>, width: Int, lengthPenalty: Double, context: Int = 4, rows: Int = 16
  ) -> BeamSearch<Double> {
    var options = BeamOptions()
    (options.width, options.lengthPenalty) = (width, lengthPenalty)
    return BeamSearch(network: network, options: options, rows: rows, context: context)
  }

  /// log p of a whole translation, by the network that training uses.
  private static func logProbability(
    _ network: TranslationNetwork<Double>, _ source: [Int32], _ target: [Int32]
  ) throws -> Double {
    let sums = try network.run(
      TranslationBatch([SentencePair(source: source, target: target)]), randomness: nil, isTraining: false, threads: 1)
    return -sums.likelihood
  }

  /// With a beam as wide as there are translations, the best of all is found.
  @Test(arguments: [0, 0.6, 1, 3.0])
  func fullWidthIsExhaustive(lengthPenalty: Double) throws {
    let network = Self.network()
    var all: [[Int32]] = [[]]
    for length in 1...3 {
      all += all.filter { $0.count == length - 1 }.flatMap { start in (1..<5).map { start + [$0] } }
    }
    #expect(all.count == 1 + 4 + 16 + 64)
    // As many as may be finished or go on.
    let found = try Self.search(network, width: 85, lengthPenalty: lengthPenalty).translate(Self.sources, threads: 1)
    for (source, translation) in zip(Self.sources, found) {
      let scored = try all.map { target in
        let length = Double(target.count + 1)
        return (target, try Self.logProbability(network, source, target) / pow(length, lengthPenalty))
      }
      let best = try #require(scored.max { $0.1 < $1.1 })
      #expect(translation.tokens == best.0)
      #expect((translation.score - best.1).magnitude < 1e-12)
    }
  }

  @Test func widthOneIsGreedy() throws {
    let network = Self.network()
    let found = try Self.search(network, width: 1, lengthPenalty: 0.6, context: 8).translate(Self.sources, threads: 1)
    for (source, translation) in zip(Self.sources, found) {
      var tokens: [Int32] = []
      while tokens.count < 7 {
        // The most probable next token, by trying all.
        let scores = try (0..<5).map { try -Self.next(network, source, tokens, Int32($0)) }
        let next = scores.indices.reduce(0) { scores[$1] > scores[$0] ? $1 : $0 }
        guard next != Vocabulary.end else { break }
        tokens.append(Int32(next))
      }
      #expect(translation.tokens == tokens)
    }
  }

  /// −log p of one more token.
  private static func next(
    _ network: TranslationNetwork<Double>, _ source: [Int32], _ tokens: [Int32], _ token: Int32
  ) throws -> Double {
    let target = token == Vocabulary.end ? tokens : tokens + [token]
    _ = try network.run(
      TranslationBatch([SentencePair(source: source, target: target)]), randomness: nil, isTraining: false, threads: 1)
    return network.head.likelihoods[tokens.count]
  }

  /// What a sentence becomes depends neither on the others nor on threads or on how many are encoded together.
  @Test func companyDoesNotMatter() throws {
    let network = Self.network()
    let sources = (0..<40).map { k in (0..<1 + k % 4).map { Int32(2 + (k / 4 + $0) % 3) } }
    let together = try Self.search(network, width: 3, lengthPenalty: 1, context: 8).translate(sources, threads: 3)
    for (source, translation) in zip(sources, together) {
      let alone = try Self.search(network, width: 3, lengthPenalty: 1, context: 8, rows: 6)
        .translate([source], threads: 1)
      #expect(alone[0].tokens == translation.tokens)
      #expect((alone[0].score - translation.score).magnitude < 1e-12)
    }
  }
}
