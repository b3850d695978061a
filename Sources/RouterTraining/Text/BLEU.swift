import CStandardLibrary

/// BLEU of a corpus with one reference for each sentence, as sacrebleu computes it:
/// `BP · exp(¼ Σ_n log p_n)`, `p_n` the share (in percent) of the hypotheses' n-grams that the references have, `BP = exp(1 − r/c)` where the
/// hypotheses are shorter.
///
/// The k-th `p_n` without a match is `100/(2ᵏ·total)` (smoothing "exp", NIST's).
///
/// *Edge cases*: 0 if no word matches, and if the hypotheses have no n-gram of some length up to four.
/// *Source*: sacrebleu 2.6.0, `metrics/bleu.py`; its signature is `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp`.
package struct BLEU: Sendable, Equatable {
  /// How sentences are taken apart.
  package enum Tokenizer: String, Sendable, CaseIterable {
    /// As the script mteval-v13a does.
    case mteval13a = "13a"
    /// At whitespace.
    case none
  }

  /// From 0 to 100.
  package let score: Double
  /// Of n-grams of length 1 to 4: how many the hypotheses have, and how many of them the references have, too.
  package let totals, matches: [Int]
  /// Of n-grams of length 1 to 4, in percent.
  package let precisions: [Double]
  package let brevityPenalty: Double
  /// The number of words.
  package let hypothesisLength, referenceLength: Int

  private static let order = 4

  /// - Precondition: as many references as hypotheses.
  package init(hypotheses: [String], references: [String], tokenizer: Tokenizer = .mteval13a) {
    precondition(
      hypotheses.count == references.count,
      "expected as many references as hypotheses, got \(references.count) and \(hypotheses.count)")
    var (totals, matches) = ([Int](repeating: 0, count: Self.order), [Int](repeating: 0, count: Self.order))
    var (length, referenceLength) = (0, 0)
    for (hypothesis, reference) in zip(hypotheses, references) {
      var numbers: [Word: Int32] = [:]
      func number(_ word: Word) -> Int32 {
        if let number = numbers[word] { return number }
        numbers[word] = Int32(numbers.count + 1)
        return Int32(numbers.count)
      }
      let (own, other) = (tokenizer.words(hypothesis).map(number), tokenizer.words(reference).map(number))
      length += own.count
      referenceLength += other.count
      for n in 1...Self.order {
        let counts = Self.counts(other, length: n)
        for (gram, count) in Self.counts(own, length: n) {
          totals[n - 1] += count
          matches[n - 1] += min(count, counts[gram] ?? 0)
        }
      }
    }
    self.init(matches: matches, totals: totals, length: length, referenceLength: referenceLength)
  }

  /// From the counts of a corpus.
  private init(matches: [Int], totals: [Int], length: Int, referenceLength: Int) {
    self.matches = matches
    self.totals = totals
    hypothesisLength = length
    self.referenceLength = referenceLength
    let penalty =
      length >= referenceLength ? 1 : length == 0 ? 0 : exp(1 - Double(referenceLength) / Double(length))
    brevityPenalty = penalty
    var precisions = [Double](repeating: 0, count: Self.order)
    if matches.contains(where: { $0 > 0 }) {
      var smoothing = 1.0
      for n in 0..<Self.order where totals[n] > 0 {
        if matches[n] == 0 { smoothing *= 2 }
        precisions[n] =
          matches[n] == 0
          ? 100 / (smoothing * Double(totals[n])) : 100 * Double(matches[n]) / Double(totals[n])
      }
    }
    self.precisions = precisions
    score = precisions.contains(0) ? 0 : penalty * exp(precisions.reduce(0) { $0 + log($1) } / Double(Self.order))
  }

  /// How often each n-gram occurs.
  private static func counts(_ words: [Int32], length: Int) -> [SIMD4<Int32>: Int] {
    var counts: [SIMD4<Int32>: Int] = [:]
    guard words.count >= length else { return counts }
    for first in 0...words.count - length {
      var gram = SIMD4<Int32>()
      for k in 0..<length { gram[k] = words[first + k] }
      counts[gram, default: 0] += 1
    }
    return counts
  }
}
