import FileFormats
import RouterSpecifications
import RoutingCore
import RoutingVerification

/// The battery's result, for people and for programs.
public struct LintReport: Sendable {
  /// What was found.
  public let result: LintResult

  /// The report on a result.
  public init(_ result: LintResult) { self.result = result }

  /// The report in the format `routegrad.lint/1`.
  public var json: String {
    JSONWriter.indented([
      "schema": "routegrad.lint/1", "version": .string(routeGradVersion), "router": result.profile.summary,
      "seed": .string("\(result.seed)"), "verdict": .string(result.verdict.rawValue), "calls": JSONValue(result.calls),
      "tolerance": .number(result.profile.tolerance),
      "checks": .array(
        result.findings.map { finding in
          [
            "check": .string(finding.check.rawValue), "verdict": JSONValue(finding.verdict?.rawValue),
            "detail": .string(finding.detail), "reason": .string(finding.check.reason),
            "calls": JSONValue(finding.calls),
          ]
        }),
    ])
  }

  /// The report as text.
  public func text(style: TextStyle) -> String {
    var table = TextTable(columns: [
      .init(title: "check", isText: true), .init(title: "verdict", isText: true), .init(title: "calls"),
      .init(title: "what was found", isText: true),
    ])
    for finding in result.findings {
      let verdict = finding.verdict?.rawValue ?? Figures.undefined
      table.rows.append(
        .init(cells: [finding.check.rawValue, verdict, "\(finding.calls)", finding.detail.onOneLine]))
      if finding.verdict == .refuted {
        table.rows.append(.init(cells: ["", "", "", "Why it matters: \(finding.check.reason)"], isSecondary: true))
      }
    }
    return TextSection(
      title: result.profile.name, facts: facts, table: table,
      notes: [summary, "Tolerance \(Figures.significant(result.profile.tolerance)), seed \(result.seed)."]
    ).text(style: style)
  }

  private var facts: String {
    let profile = result.profile
    let specification = profile.specification
    var facts = "\(profile.experts) experts, \(specification.choiceWords), \(specification.gateWords) gates"
    if specification.mask.threshold != nil { facts += ", mask \(specification.mask.words)" }
    return facts + ", \(profile.precision.rawValue)"
  }

  private var summary: String {
    func count(_ verdict: Verdict?) -> Int { result.findings.count { $0.verdict == verdict } }
    let parts = [
      (count(.proved), "proved on the calls made"), (count(.refuted), "refuted"), (count(.undecided), "undecided"),
      (count(nil), "not applicable"),
    ]
    let counts = parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    return "Verdict: \(result.verdict.rawValue). Of \(result.findings.count) checks: \(counts); \(result.calls) calls."
  }
}

extension RouterProfile {
  /// The profile in a report.
  fileprivate var summary: JSONValue {
    [
      "name": .string(name), "experts": JSONValue(experts), "topK": JSONValue(topK), "uniforms": JSONValue(uniforms),
      "normals": JSONValue(normals), "takes": .string(takes.rawValue), "precision": .string(precision.rawValue),
      "specification": specification.json,
    ]
  }
}
