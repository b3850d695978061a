import CStandardLibrary
import LayerTensors
import MixtureOfExperts
import RoutingCore

/// How translations are looked for.
package struct BeamOptions: Sendable, Equatable {
  /// The number of hypotheses that are kept; 1 takes the most probable token every time.
  package var width = 4
  /// α: hypotheses are compared by `log p/length^α`, the end symbol counted in the length.
  package var lengthPenalty = 0.6

  package init() {}

  static let widthLimit = Limit.whole(1...1 << 10)

  /// - Throws: `InvalidInput` for the first setting that is out of range.
  package func validate() throws(InvalidInput) {
    try Self.widthLimit.require("beam", width)
    try Limit.notNegative.require("lengthPenalty", lengthPenalty)
  }

  /// The most tokens of a translation, the end symbol included: twice the source's and ten, as far as the context goes.
  static func maximumLength(source: Int, context: Int) -> Int { min(2 * source + 10, context) }
}

/// Beam search for one sentence.
///
/// In every step the `2·width` best continuations of all hypotheses are ranked by log p. Those among the first `width` that end are
/// finished; the first `width` that do not end go on. The search is over when `width` hypotheses are finished, or at the greatest length, where
/// all of them have to end.
///
/// *Source*: fairseq's `SequenceGenerator`. Equal scores go to the earlier hypothesis, then to the smaller token.
struct SentenceBeam: Sendable {
  struct Hypothesis: Sendable {
    /// Without the end.
    var tokens: [Int32]
    /// log p; of finished hypotheses divided by the length's power.
    var score: Double
  }

  private struct Continuation {
    var parent: Int
    var token: Int32
    var score: Double
  }

  private(set) var live = [Hypothesis(tokens: [], score: 0)]
  private(set) var finished: [Hypothesis] = []
  private let options: BeamOptions
  private let maximumLength: Int

  /// - Precondition: a width and a length of at least 1.
  init(_ options: BeamOptions, maximumLength: Int) {
    precondition(options.width >= 1 && maximumLength >= 1, "a beam has a width and a length of at least 1")
    self.options = options
    self.maximumLength = maximumLength
  }

  /// The finished hypothesis of the greatest score, the earliest of equals.
  var best: Hypothesis? {
    finished.reduce(nil) { best, next in best.map { next.score > $0.score ? next : $0 } ?? next }
  }

  /// Goes on by one token; nothing is live when the search is over.
  ///
  /// - Parameter logits: of the live hypotheses, `[live, vocabulary]`.
  /// - Returns: for each hypothesis that is live then, which one it continues.
  mutating func advance<Scalar: LayerScalar>(logits: UnsafePointer<Scalar>, vocabulary: Int) -> [Int] {
    let mustEnd = live[0].tokens.count + 1 >= maximumLength
    let ranked = continuations(logits: logits, vocabulary: vocabulary, onlyEnd: mustEnd)
    let length = pow(Double(live[0].tokens.count + 1), options.lengthPenalty)
    for next in ranked.prefix(options.width) where next.token == Vocabulary.end {
      if finished.count < options.width {
        finished.append(Hypothesis(tokens: live[next.parent].tokens, score: next.score / length))
      }
    }
    let isOver = finished.count >= options.width
    let going = isOver ? [] : ranked.filter { $0.token != Vocabulary.end }.prefix(options.width)
    live = going.map { Hypothesis(tokens: live[$0.parent].tokens + [$0.token], score: $0.score) }
    return going.map(\.parent)
  }

  /// The best continuations, at most `2·width`, the best first.
  private func continuations<Scalar: LayerScalar>(
    logits: UnsafePointer<Scalar>, vocabulary: Int, onlyEnd: Bool
  ) -> [Continuation] {
    var best: [Continuation] = []
    let most = 2 * options.width
    for (parent, hypothesis) in live.enumerated() {
      let row = logits + parent * vocabulary
      let offset = hypothesis.score - Self.logSumExp(row, count: vocabulary)
      for token in onlyEnd ? Int(Vocabulary.end)..<Int(Vocabulary.end) + 1 : 0..<vocabulary {
        let score = offset + Double(row[token])
        if best.count == most, score <= best[most - 1].score { continue }
        if best.count == most { best.removeLast() }
        let place = best.firstIndex { $0.score < score } ?? best.count
        best.insert(Continuation(parent: parent, token: Int32(token), score: score), at: place)
      }
    }
    return best
  }

  private static func logSumExp<Scalar: LayerScalar>(_ row: UnsafePointer<Scalar>, count: Int) -> Double {
    var largest = row[0]
    for k in 1..<max(count, 1) where row[k] > largest { largest = row[k] }
    var sum = 0.0
    for k in 0..<count { sum += exp(Double(row[k] - largest)) }
    return Double(largest) + log(sum)
  }
}
