import MixtureOfExperts
import RoutingCore

/// What a text has become.
package struct TranslatedText: Sendable, Equatable {
  /// A line for each of the source, in order; words are joined at `@@`. An empty line stays empty.
  package var lines: [String]
  /// The lines that were cut off at the model's context, and the words that are not in its vocabulary.
  package var cut = 0, unknown = 0
}

extension TranslationModel {
  /// Translates a text line by line.
  ///
  /// - Parameter options: how translations are looked for.
  package func translate(
    _ text: TextLines, _ options: BeamOptions, threads: Int
  ) throws(Refusal) -> TranslatedText {
    var result = TranslatedText(lines: [String](repeating: "", count: text.count))
    var (places, sources): ([Int], [[Int32]]) = ([], [])
    for k in 0..<text.count {
      var tokens = vocabulary.numbers(text, line: k)
      guard !tokens.isEmpty else { continue }
      if tokens.count >= settings.context {
        tokens.removeSubrange((settings.context - 1)...)
        result.cut += 1
      }
      result.unknown += tokens.count { $0 == Vocabulary.unknown }
      places.append(k)
      sources.append(tokens)
    }
    for (k, translation) in zip(places, try translate(sources, options, threads: threads)) {
      result.lines[k] = vocabulary.text(translation.tokens)
    }
    return result
  }
}
