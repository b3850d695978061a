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
  public func text(style: TextStyle) -> String { section.text(style: style) }

  /// The report as a page.
  package var page: HTMLPage {
    HTMLPage(title: "Lint of \(result.profile.name)", sections: [section], json: json)
  }

  private var section: TextSection {
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
      notes: [summary, "Tolerance \(Figures.significant(result.profile.tolerance)), seed \(result.seed)."])
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
  /// The profile in a report: what version 1 of the exchange has words for, and the specification.
  fileprivate var summary: JSONValue {
    let gate = specification.gate
    return [
      "name": .string(name), "experts": JSONValue(experts), "topK": JSONValue(topK), "uniforms": JSONValue(uniforms),
      "takes": .string(takes.rawValue), "gates": .string(simpleGates.rawValue),
      "mask": ["rule": .string(specification.mask.rule), "threshold": JSONValue(specification.mask.threshold)],
      "outputScales": JSONValue(gate?.outputScales ?? [1]), "gradientFactor": .number(gate?.gradientFactor ?? 1),
      "jitter": jitter, "auxiliaryLoss": balance, "capacity": JSONValue(specification.capacity?.limit),
      "routesJointly": .bool(specification.selection.isJoint),
      "mayChooseFewer": .bool(specification.selection.mayBeFewer && !specification.selection.isJoint),
      "precision": .string(precision.rawValue), "normals": JSONValue(normals), "specification": specification.json,
    ]
  }

  private var simpleGates: Gates {
    guard let gate = specification.gate else { return .other }
    switch gate.source {
    case .score where specification.score == .init() && !gate.isNormalized && gate.scale == 1: return .softmax
    case .softmaxOverChosen where gate.scale == 1: return .renormalized
    case .sequential: return .sequential
    default: return .other
    }
  }

  private var jitter: JSONValue {
    guard let noise = specification.noise, specification.hasMultiplicativeNoise else { return .null }
    return ["on": noise.kind == .uniform ? "logits" : "input", "width": .number(noise.width)]
  }

  private var balance: JSONValue {
    guard let loss = specification.auxiliaryLosses.first(where: { $0.kind == .balance && $0.scope == .batch }) else {
      return .null
    }
    return ["coefficient": .number(loss.coefficient), "counting": .string(loss.counting.rawValue)]
  }
}
