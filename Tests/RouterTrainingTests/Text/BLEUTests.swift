import Foundation
import Testing
import _TestSupport

@testable import RouterTraining

/// BLEU against what sacrebleu gave for the same strings (Fixtures/generators/bleu_cases.py).
struct BLEUTests {
  struct Reference: Decodable {
    struct Score: Decodable {
      var score, brevityPenalty: Double
      var matches, totals, lengths: [Int]
      var precisions: [Double]
    }
    struct Case: Decodable {
      var name: String
      var hypotheses, references: [String]
      var mteval13a, none: Score

      enum CodingKeys: String, CodingKey {
        case name, hypotheses, references, none
        case mteval13a = "13a"
      }
    }
    var cases: [Case]
  }

  @Test(arguments: BLEU.Tokenizer.allCases)
  func equalsSacrebleu(tokenizer: BLEU.Tokenizer) throws {
    let cases = try Fixtures.decode(Reference.self, from: "reference/bleu-sacrebleu.json").cases
    #expect(cases.count > 40)
    for item in cases {
      let expected = tokenizer == .none ? item.none : item.mteval13a
      let bleu = BLEU(hypotheses: item.hypotheses, references: item.references, tokenizer: tokenizer)
      #expect(bleu.matches == expected.matches, "\(item.name)")
      #expect(bleu.totals == expected.totals, "\(item.name)")
      #expect([bleu.hypothesisLength, bleu.referenceLength] == expected.lengths, "\(item.name)")
      #expect((bleu.score - expected.score).magnitude <= 1e-12 * max(expected.score, 1), "\(item.name)")
      #expect((bleu.brevityPenalty - expected.brevityPenalty).magnitude <= 1e-15, "\(item.name)")
      for (a, b) in zip(bleu.precisions, expected.precisions) { #expect((a - b).magnitude <= 1e-12, "\(item.name)") }
    }
  }
}
