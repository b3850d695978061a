import MixtureOfExperts
import RoutingCore
import Synchronization

/// A sentence that a model has put out.
package struct Translation: Sendable, Equatable {
  /// Without the end.
  package var tokens: [Int32]
  /// `log p/length^α`.
  package var score: Double
}

/// Beam search over many sentences.
///
/// Sentences are encoded together and decoded in parts that do not depend on the number of threads, and neither does any result.
struct BeamSearch<Scalar: TransformerScalar> {
  let network: TranslationNetwork<Scalar>
  let options: BeamOptions
  /// The most rows that the network is given at a time, and the most of a sentence.
  let rows, context: Int

  /// The sentences that one task decodes.
  private static var part: Int { 16 }
  /// The sentences that are encoded together.
  private static var together: Int { 128 }

  /// The translation of each source, in order.
  ///
  /// - Parameter sources: token numbers without ends; each has, with its end, at most `context` and `rows`.
  func translate(_ sources: [[Int32]], threads: Int) throws(Refusal) -> [Translation] {
    // Sentences of one length side by side come to their ends together.
    let order = sources.indices.sorted { (sources[$0].count, $0) < (sources[$1].count, $1) }
    var translations = [Translation](repeating: Translation(tokens: [], score: 0), count: sources.count)
    var first = 0
    while first < order.count {
      var (last, tokens) = (first, 0)
      while last < order.count, last - first < Self.together, tokens + sources[order[last]].count + 1 <= rows {
        tokens += sources[order[last]].count + 1
        last += 1
      }
      precondition(last > first, "expected sources of at most \(rows - 1) tokens")
      let chosen = order[first..<last]
      for (k, translation) in zip(chosen, try translateTogether(chosen.map { sources[$0] }, threads: threads)) {
        translations[k] = translation
      }
      first = last
    }
    return translations
  }

  private func translateTogether(_ sources: [[Int32]], threads: Int) throws(Refusal) -> [Translation] {
    let plan = SequencePlan(lengths: sources.map { $0.count + 1 })
    _ = try network.encode(
      sources.flatMap { $0 + [Vocabulary.end] }, plan: plan, randomness: nil, threads: threads)
    let parts = (0..<(sources.count + Self.part - 1) / Self.part).map {
      $0 * Self.part..<min(($0 + 1) * Self.part, sources.count)
    }
    let results = Mutex([Result<[Translation], Refusal>](repeating: .success([]), count: parts.count))
    concurrently(parts.count, threads: threads) { k in
      let result = Result { () throws(Refusal) in try decode(parts[k].map(plan.range)) }
      results.withLock { $0[k] = result }
    }
    var translations: [Translation] = []
    for result in results.withLock({ $0 }) { translations += try result.get() }
    return translations
  }

  /// The translations of sentences whose encodings stand in some rows.
  private func decode(_ memory: [Range<Int>]) throws(Refusal) -> [Translation] {
    var beams = memory.map {
      SentenceBeam(options, maximumLength: BeamOptions.maximumLength(source: $0.count - 1, context: context))
    }
    let longest = memory.reduce(1) { max($0, BeamOptions.maximumLength(source: $1.count - 1, context: context)) }
    let decoder = IncrementalDecoder(network, memory: memory, rows: memory.count * options.width, length: longest)
    for position in 0..<longest {
      let hypotheses = beams.map(\.live.count)
      let tokens = beams.flatMap { $0.live.map { $0.tokens.last ?? Vocabulary.end } }
      guard !tokens.isEmpty else { break }
      try decoder.step(tokens, hypotheses: hypotheses, position: position)
      var parents: [Int] = []
      var first = 0
      for k in beams.indices where hypotheses[k] > 0 {
        let logits = decoder.logits.elements + first * decoder.logits.columns
        parents += beams[k].advance(logits: logits, vocabulary: decoder.logits.columns).map { $0 + first }
        first += hypotheses[k]
      }
      decoder.reorder(parents, tokens: position + 1)
    }
    return beams.map { Translation(tokens: $0.best?.tokens ?? [], score: $0.best?.score ?? -.infinity) }
  }
}
