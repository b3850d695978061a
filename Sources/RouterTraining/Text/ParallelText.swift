import RoutingCore

/// A sentence and its translation, as token numbers without end symbols.
package struct SentencePair: Sendable, Equatable {
  package var source, target: [Int32]

  package init(source: [Int32], target: [Int32]) {
    self.source = source
    self.target = target
  }
}

/// Sentences and their translations, numbered.
///
/// Pairs with an empty side, and pairs with a side that is longer with its end symbol than the model's context, are left out and
/// counted; words outside the vocabulary are kept as unknown and counted.
package struct ParallelText: Sendable, Equatable {
  /// The pairs that are left, in the order of the files.
  package private(set) var pairs: [SentencePair] = []
  /// The line of each, from 0.
  package private(set) var lines: [Int] = []
  /// What was left out, and how much is unknown.
  package private(set) var counts = Counts()

  /// What became of the lines.
  package struct Counts: Sendable, Equatable {
    /// Pairs in the files.
    package var lines = 0
    /// Pairs left out because a side was empty, or longer than the context.
    package var empty = 0, long = 0
    /// Tokens of the pairs that are left, end symbols included, and how many of them are unknown.
    package var sourceTokens = 0, targetTokens = 0, unknown = 0
  }

  /// Numbers two parallel files.
  ///
  /// - Parameters:
  ///   - context: the most tokens of a side, the end symbol included.
  /// - Throws: `InvalidInput` if the numbers of lines differ, or no pair is left.
  package init(
    source: TextLines, target: TextLines, vocabulary: Vocabulary, context: Int
  ) throws(InvalidInput) {
    try TextLines.requireParallel(source, target)
    counts.lines = source.count
    for k in 0..<source.count {
      let pair = SentencePair(
        source: vocabulary.numbers(source, line: k), target: vocabulary.numbers(target, line: k))
      guard !pair.source.isEmpty, !pair.target.isEmpty else {
        counts.empty += 1
        continue
      }
      guard max(pair.source.count, pair.target.count) < context else {
        counts.long += 1
        continue
      }
      counts.sourceTokens += pair.source.count + 1
      counts.targetTokens += pair.target.count + 1
      counts.unknown += (pair.source + pair.target).count { $0 == Vocabulary.unknown }
      pairs.append(pair)
      lines.append(k)
    }
    guard !pairs.isEmpty else {
      throw InvalidInput(
        "\(source.name), \(target.name)",
        "expected a pair of lines with words on both sides and at most \(context - 1) on each, got none")
    }
  }
}
