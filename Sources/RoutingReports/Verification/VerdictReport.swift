import FileFormats
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import RoutingVerification

/// A verdict and its evidence, written out.
public struct VerdictReport: Sendable {
  let evidence: Evidence
  let problem: FiledProblem
  let mask: Mask
  /// Where the samples came from, and how they were written.
  let source: String
  let format: String
  /// Where the counter-example stands.
  let counterExamplePlace: String?

  /// Puts a report together.
  ///
  /// - Parameters:
  ///   - evidence: the verdict.
  ///   - problem: the problem that it is about.
  ///   - mask: its mask.
  ///   - stream: the samples.
  ///   - source: what their stream is called.
  package init(
    _ evidence: Evidence, on problem: FiledProblem, mask: Mask, stream: SampleStream, source: String
  ) {
    self.evidence = evidence
    self.problem = problem
    self.mask = mask
    self.source = source
    format = stream.format.rawValue
    counterExamplePlace = evidence.counterExample?.row.map { stream.place(ofRow: $0) }
  }

  /// Puts a report on samples together that were handed over in memory.
  public init(_ evidence: Evidence, on problem: RoutedProblem) {
    self.evidence = evidence
    self.problem = FiledProblem(problem.problem, file: "\(problem.kind.rawValue) of \(problem.experts) experts")
    mask = problem.mask
    source = "samples"
    format = "array"
    counterExamplePlace = evidence.counterExample?.row.map { "row \($0) (from 0)" }
  }

  /// The verdict for people.
  public func text(style: TextStyle) -> String {
    var text = ""
    let headline = style.characters("\(evidence.verdict.rawValue): \(summary)")
    for line in TextTable.wrap(headline, width: TextTable.width) { text += style.strong(line) + "\n" }
    var table = TextTable(columns: [.init(title: "", isText: true), .init(title: "", isText: true)])
    table.rows = facts.map { .init(cells: [$0.0, $0.1]) }
    // Without the row of titles, which are empty.
    let lines = table.text(indentation: 2, style: TextStyle(isASCII: style.isASCII)).split(separator: "\n")
    for line in lines where !line.allSatisfy(\.isWhitespace) { text += line + "\n" }
    return text
  }

  /// The verdict as a page.
  package var page: HTMLPage {
    let table = TextTable(
      columns: [.init(title: "of", isText: true), .init(title: "what was found", isText: true)],
      rows: facts.map { .init(cells: [$0.0, $0.1]) })
    return HTMLPage(
      title: "Verdict on \(source)", charts: path.map { [$0] } ?? [],
      sections: [TextSection(title: "\(evidence.verdict.rawValue): \(summary)", table: table)], json: json)
  }

  /// The e-value that decides after ever more samples, as a power of ten, beside what refutes; nil without samples.
  private var path: Chart? {
    for case .mean(let part) in evidence.parts where !part.path.isEmpty {
      let perPower = logarithm(10)
      let refuting = -logarithm(evidence.criteria.rates.falseFail) / perPower
      func series(
        _ name: String, _ points: [EValuePath.Point], _ y: (EValuePath.Point) -> Double
      ) -> Chart.Series {
        .init(name: name, points: points.map { .init(x: Double($0.samples), y: y($0), name: name) }, isCurve: true)
      }
      let ends = [part.path.first, part.path.last].compactMap { $0 }
      return Chart(
        title: "The e-value against \(evidence.claim.subject)", x: .init("samples", isLogarithmic: true),
        y: .init("log₁₀ e-value"),
        series: [
          series("e-value", part.path) { $0.logEValue / perPower },
          series("refuted from here on", ends) { _ in refuting },
        ])
    }
    return nil
  }

  // MARK: - Words

  private var summary: String {
    let subject = evidence.claim.subject
    if let found = evidence.counterExample {
      let place = counterExamplePlace.map { "\($0): " } ?? ""
      return (place + found.words(subject: subject)).onOneLine
    }
    switch evidence.verdict {
    case .proved: return "equal to \(subject) to \(Figures.significant(evidence.tolerance)) by enumeration"
    case .consistent:
      return "no coordinate's mean is off \(subject) by \(Figures.significant(evidence.detectableBias)) or more"
    case .refuted: return refutation
    case .undecided:
      let size = evidence.smallestDetectableBias.map { "; so many find a bias of \(Figures.significant($0))" } ?? ""
      return "\(evidence.samples) samples were too few\(size)"
    }
  }

  /// What speaks against the claim, where no sample does by itself.
  private var refutation: String {
    let subject = evidence.claim.subject
    for case .mean(let part) in evidence.parts where part.logEValue >= part.jointLogEValue - 1 {
      let k = part.worstCoordinate
      let interval = part.intervals[k]
      return "coordinate \(k) has the mean \(Figures.significant(part.sampleMean[k])) "
        + "(\(Figures.significant(interval.lowerBound))…\(Figures.significant(interval.upperBound))), \(subject) has "
        + Figures.significant(evidence.claim.mean[k])
    }
    return "the choices do not come with the probabilities of \(subject)"
  }

  private var facts: [(String, String)] {
    let (criteria, claim) = (evidence.criteria, evidence.claim)
    let areSamples = evidence.parts.contains { if case .mean = $0 { true } else { false } }
    let isStatistical = areSamples && evidence.counterExample == nil
    var facts: [(String, String)] = [
      ("compared", "\(source.onOneLine) (\(format)) with \(claim.subject)\(claim.words)"),
      ("problem", problem.location.onOneLine + (mask == .none ? "" : ", mask \(mask.words)")),
      (areSamples ? "samples" : "outcomes", "\(evidence.samples)"),
      (
        "tolerance",
        "\(Figures.significant(evidence.tolerance)) (\(criteria.relativeTolerance) of the largest gradient)"
      ),
    ]
    for part in evidence.parts { facts += part.facts(evidence) }
    if isStatistical {
      facts.append(
        ("rates", "\(criteria.rates.falseFail) to refute what is right, \(criteria.rates.falsePass) to pass a bias"))
      facts.append(
        (
          "bias looked for",
          "\(Figures.significant(evidence.detectableBias)) in a coordinate (so up to "
            + "\(Figures.significant(evidence.detectableBias * Double(claim.coordinates).squareRoot())) in norm); needs "
            + "\(evidence.requiredSamples.map(String.init) ?? Figures.undefined) samples"
        ))
      facts.append(
        ("smallest bias", "one of \(Figures.significant(evidence.smallestDetectableBias)) is found by so many samples"))
      facts.append(("seed", evidence.seed.map(String.init) ?? "none: the samples came from outside"))
    }
    return facts
  }
}

extension Claim {
  fileprivate var words: String { target == nil ? "" : " (is the mean unbiased for this target?)" }
}

extension Evidence.Part {
  fileprivate func facts(_ evidence: Evidence) -> [(String, String)] {
    switch self {
    case .conformance(let part):
      let unseen =
        part.outcomesSeen < part.outcomes
        ? "; not seen: a probability of \(Figures.significant(part.unseenProbability))" : ""
      return [
        (
          "by outcome",
          "\(part.verdict.rawValue); \(part.outcomesSeen) of \(part.outcomes) outcomes seen\(unseen); largest deviation "
            + Figures.significant(part.largestDeviation)
        )
      ]
    case .moments(let part):
      let covariance = part.covarianceDeviation.map { ", of the covariance \(Figures.significant($0))" } ?? ""
      return [("exact moments", "deviation of the mean \(Figures.significant(part.meanDeviation))\(covariance)")]
    case .mean(let part):
      guard part.samples > 0, evidence.counterExample == nil else { return [] }
      let all = evidence.claim.coordinates
      return [
        (
          "mean",
          "e-value \(Figures.exponential(ofLogarithm: part.jointLogEValue)), refuted from "
            + "\(Figures.exponential(ofLogarithm: -logarithm(evidence.criteria.rates.falseFail))) on; "
            + "\(part.coordinatesPassed) of \(all) coordinates passed"
        )
      ]
    case .frequencies(let part):
      guard part.samples > 0 else { return [] }
      let evidence = "e-value \(Figures.exponential(ofLogarithm: part.logEValue)) after \(part.samples)"
      return [("choices", "\(evidence), \(part.outcomes) outcomes told apart")]
    }
  }
}

extension ForeignCounterExample {
  /// What is wrong, on one line.
  fileprivate func words(subject: String) -> String {
    let drawn = draw.map { draw in
      "choice \(draw.choice)" + (draw.coins.map { $0.isEmpty ? "" : ", coins \($0)" } ?? "")
    }
    func pair(_ k: Int) -> String {
      "\(Figures.significant(found[k])), \(subject) has \(Figures.significant(expected[k]))"
    }
    switch kind {
    case .support:
      return "coordinate \(coordinate ?? 0) is \(Figures.significant(found[0])), outside of "
        + "\(Figures.significant(expected[0]))…\(Figures.significant(expected[1])) that \(subject) can give"
    case .unknownOutcome: return "\(drawn ?? "this draw") cannot happen in \(subject)"
    case .gradient:
      let k = coordinate ?? 0
      return "given \(drawn ?? "the draw") coordinate \(k) is \(pair(k))"
    case .probability:
      return "\(drawn.map { "the probability of \($0)" } ?? "the sum of probabilities") is \(pair(0))"
    case .multiplier: return "given \(drawn ?? "the draw") the multiplier is \(found), \(subject) has \(expected)"
    case .mean:
      let k = coordinate ?? 0
      return "coordinate \(k) of the exact mean is \(pair(k))"
    case .covariance:
      let k = coordinate ?? 0
      return "the exact variance of coordinate \(k), or a covariance of it, is not that of \(subject) "
        + "(variance \(pair(k)))"
    }
  }
}
