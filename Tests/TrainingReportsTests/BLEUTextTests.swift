import RouterTraining
import Testing
import TrainingReports
import _TestSupport

/// What is printed of BLEU, against what sacrebleu prints (Fixtures/generators/bleu_cases.py).
struct BLEUTextTests {
  private struct Reference: Decodable {
    struct Case: Decodable {
      struct Score: Decodable {
        var text: String
      }
      var name: String
      var hypotheses, references: [String]
      var none: Score
    }
    var cases: [Case]
  }

  @Test func isSacrebleus() throws {
    let cases = try Fixtures.decode(Reference.self, from: "reference/bleu-sacrebleu.json").cases
    #expect(cases.count > 40)
    for item in cases {
      let bleu = BLEU(hypotheses: item.hypotheses, references: item.references, tokenizer: .none)
      #expect(bleu.text == item.none.text, "\(item.name)")
    }
  }
}
