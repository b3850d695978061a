import FileFormats
import RouterSpecifications
import RoutingCore
import RoutingVerification

/// What was found of answers to golden vectors, for people and for programs.
package struct AnswersReport: Sendable {
  /// What was found.
  package let result: AnswersVerdict

  /// The report on a verdict.
  package init(_ result: AnswersVerdict) { self.result = result }

  /// The report in the format `routegrad.answers/1`.
  package var json: String {
    JSONWriter.indented([
      "schema": "routegrad.answers/1", "version": .string(routeGradVersion),
      "specification": .string(result.specification.name), "experts": JSONValue(result.specification.experts),
      "verdict": .string(result.verdict.rawValue), "tolerance": .number(result.tolerance),
      "mistakes": .array(
        result.mistakes.map { ["mistake": .string($0.rawValue), "words": .string("a router \($0.words)")] }),
      "calls": .array(
        result.findings.map { finding in
          [
            "call": JSONValue(finding.call), "verdict": .string(finding.verdict.rawValue),
            "part": JSONValue(finding.difference?.part.rawValue), "token": JSONValue(finding.difference?.token),
            "expert": JSONValue(finding.difference?.expert), "found": JSONValue(finding.difference?.found),
            "expected": JSONValue(finding.difference?.expected), "detail": .string(finding.detail),
          ]
        }),
    ])
  }

  /// The report as text.
  package func text(style: TextStyle) -> String { section.text(style: style) }

  /// The report as a page.
  package var page: HTMLPage {
    HTMLPage(title: "Answers to the vectors of \(result.specification.name)", sections: [section], json: json)
  }

  private var section: TextSection {
    var table = TextTable(columns: [
      .init(title: "call", isText: true), .init(title: "verdict", isText: true),
      .init(title: "what was found", isText: true),
    ])
    for finding in result.findings {
      let detail = finding.detail.isEmpty ? "as expected" : finding.detail.onOneLine
      table.rows.append(.init(cells: ["\(finding.call)", finding.verdict.rawValue, detail]))
    }
    return TextSection(
      title: result.specification.name, facts: "\(result.specification.experts) experts, answers to golden vectors",
      table: table, notes: notes)
  }

  private var notes: [String] {
    func count(_ verdict: Verdict) -> Int { result.findings.count { $0.verdict == verdict } }
    let counts = [Verdict.proved, .refuted, .undecided].filter { count($0) > 0 }.map { "\(count($0)) \($0.rawValue)" }
    var notes = [
      "Verdict: \(result.verdict.rawValue). Of \(result.findings.count) calls: \(counts.joined(separator: ", "))."
    ]
    if let first = result.mistakes.first {
      let others = result.mistakes.dropFirst().map { "\($0.rawValue)" }
      notes.append(
        "They are the answers of a router \(first.words) (\(first.rawValue))"
          + (others.isEmpty ? "." : ", or with \(others.prefix(4).joined(separator: ", "))."))
    } else if result.verdict == .refuted {
      notes.append("No single mistake of those that are known gives these answers.")
    }
    notes.append("Tolerance \(Figures.significant(result.tolerance)).")
    return notes
  }
}
