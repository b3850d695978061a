import FileFormats
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import RoutingVerification

/// The bias and variance that samples or outcomes of another program show, beside those of registered estimators: what
/// `routegrad assess` prints.
package struct AssessmentReport: Sendable {
  let assessment: SampleAssessment
  /// The problem, and the registered estimators on it.
  let problem: Report.Problem
  /// Where the samples came from, and how they were written.
  let source: String
  let format: String

  /// Puts a report together.
  ///
  /// - Parameters:
  ///   - assessment: what the samples say.
  ///   - problem: a report on the one problem that they are about, with the estimators to stand beside them.
  ///   - source: what the samples are called.
  ///   - format: how they were written.
  package init(_ assessment: SampleAssessment, beside problem: Report.Problem, source: String, format: String) {
    self.assessment = assessment
    self.problem = problem
    self.source = source
    self.format = format
  }

  /// Puts a report on samples together that were handed over in memory.
  ///
  /// - Throws: ``Refusal`` as ``Report`` does.
  package init(
    _ assessment: SampleAssessment, on problem: RoutedProblem, beside estimators: [any GradientEstimator], threads: Int,
    continuing: @Sendable () -> Bool = { true }
  ) throws(Refusal) {
    let filed = FiledProblem(problem.problem, file: "\(problem.kind.rawValue) of \(problem.experts) experts")
    let report = try Report(
      on: [filed],
      options: Report.Options(
        estimators: .listed(estimators), mask: problem.mask == .none ? nil : problem.mask,
        assessment: AssessmentOptions(target: assessment.target), threads: threads), continuing: continuing)
    self.init(assessment, beside: report.problems[0], source: "samples", format: "array")
  }

  /// The report in a format.
  package func rendered(as output: OutputFormat, style: TextStyle = .plain) -> String {
    switch output {
    case .table: section.text(style: style)
    case .markdown: section.markdown
    case .latex: TextSection.latex([section])
    case .json: json
    case .csv: csv.text
    }
  }

  /// The report as a page.
  package var page: HTMLPage {
    HTMLPage(
      title: "Assessment of \(source)", charts: [biasAgainstVariance], sections: [section], json: json)
  }

  private var biasAgainstVariance: Chart {
    let own = (label, assessment.comparison.relativeBias, assessment.comparison.relativeStandardDeviation)
    let others = problem.entries.compactMap { entry in
      (try? entry.result.get()).map { (entry.label, $0.relativeBias, $0.relativeStandardDeviation) }
    }
    let series = ([own] + others).compactMap { name, bias, deviation -> Chart.Series? in
      guard let bias, let deviation else { return nil }
      return .init(name: name, points: [.init(x: deviation, y: bias < Figures.rounding ? 0 : bias, name: name)])
    }
    return Chart(
      title: "Bias against standard deviation", x: .init("rel. sd"), y: .init("rel. bias"), series: series)
  }

  /// What the samples are called in a table, and in CSV.
  private var label: String { assessment.precision == nil ? "outcomes" : "samples" }

  // MARK: - For people

  private var section: TextSection {
    var table = TextTable(columns: [
      .init(title: "estimator", isText: true), .init(title: "bias"), .init(title: "rel.\nbias"),
      .init(title: "cosine"), .init(title: "variance"), .init(title: "MSE"), .init(title: "P\n(descent)"),
    ])
    let (comparison, moments) = (assessment.comparison, assessment.moments)
    table.rows.append(
      .init(
        cells: [
          label, Figures.significant(comparison.biasNorm), Figures.ratio(comparison.relativeBias),
          Figures.cosine(comparison.cosine), Figures.significant(moments.totalVariance),
          Figures.significant(comparison.meanSquaredError), Figures.probability(assessment.descentProbability),
        ]))
    if let precision = assessment.precision {
      let confidence = "\(Figures.short(100 * precision.confidence, digits: 4)) %"
      for (end, side) in [("from", \ClosedRange<Double>.lowerBound), ("to", \.upperBound)] {
        table.rows.append(
          .init(
            cells: [
              "  \(confidence) \(end)", Figures.significant(precision.biasNorm[keyPath: side]),
              Figures.ratio(precision.relativeBias?[keyPath: side]), Figures.cosine(precision.cosine?[keyPath: side]),
              Figures.significant(precision.totalVariance[keyPath: side]),
              Figures.significant(precision.meanSquaredError[keyPath: side]),
              Figures.probability(precision.descentProbability?[keyPath: side]),
            ], isSecondary: true))
      }
    }
    var missing: [(estimator: String, reason: String)] = []
    for entry in problem.entries {
      switch entry.result {
      case .success(let assessment):
        table.rows.append(
          .init(cells: [
            entry.label, Figures.significant(assessment.biasNorm), Figures.ratio(assessment.relativeBias),
            Figures.cosine(assessment.cosine), Figures.significant(assessment.estimate.moments.totalVariance),
            Figures.significant(assessment.meanSquaredError), Figures.probability(assessment.descentProbability),
          ]))
      case .failure(let reason): missing.append((entry.label, reason.reason))
      }
    }
    return TextSection(
      title: problem.filed.title,
      facts: "\(problem.filed.size)\(problem.routed.mask == .none ? "" : ", mask \(problem.routed.mask.words)")",
      table: table, notes: TextSection.unavailable(missing) + notes)
  }

  private var notes: [String] {
    var notes = ["\(source) (\(format)): \(assessment.count) \(label)."]
    if let precision = assessment.precision {
      notes.append(
        "From and to: where the true value lies with \(Figures.short(100 * precision.confidence, digits: 4)) % confidence. "
          + "The mean is off by at most \(Figures.significant(precision.meanRadius)), found by a bootstrap "
          + "(\(precision.resamples) replicates of \(precision.blocks) blocks, seed \(precision.seed)).")
    } else {
      notes.append("Exact: everything that can happen, with its probability.")
    }
    notes.append(
      "∇: the \(assessment.target.rawValue) gradient, of norm \(Figures.significant(norm(assessment.targetGradient))); bias: "
        + "‖E ĝ − ∇‖; rel. bias: that over ‖∇‖; variance: tr Cov ĝ; MSE: E ‖ĝ − ∇‖²; P(descent): P(ĝ·∇ > 0).")
    return notes
  }

  // MARK: - CSV

  private var csv: CSV {
    let scalars = assessment.scalars
    let bounded = scalars.filter(\.isBounded).map(\.name)
    // What the problem is, and how the intervals were found; of registered estimators what samples do not have.
    let place: [(name: String, value: String?)] = [
      ("problem", problem.filed.problem.name), ("kind", problem.routed.kind.rawValue),
      ("experts", "\(problem.routed.experts)"), ("maskRule", problem.routed.mask.rule),
      ("maskThreshold", CSV.number(problem.routed.mask.threshold)),
    ]
    let stream: [(name: String, value: String?)] = [
      ("source", source), ("format", format), ("confidence", CSV.number(assessment.precision?.confidence)),
      ("seed", assessment.precision.map { "\($0.seed)" }),
      ("resamples", assessment.precision.map { "\($0.resamples)" }),
      ("blocks", assessment.precision.map { "\($0.blocks)" }),
      ("meanRadius", CSV.number(assessment.precision?.meanRadius)),
    ]
    let registered = Assessment.scalars.filter { scalar in !scalars.contains { $0.name == scalar.name } }
    let header =
      ["id", "parameters", "method", "target", "count"] + scalars.map(\.name)
      + bounded.flatMap { ["\($0)Lower", "\($0)Upper"] } + registered.map(\.name) + ["targetError"]
      + place.map(\.name) + stream.map(\.name) + ["unavailable"]
    let none = [String?](repeating: nil, count: registered.count + 1)
    let own: [String?] =
      [label, "", assessment.precision == nil ? "enumeration" : "monte-carlo", assessment.target.rawValue]
      + ["\(assessment.count)"] + scalars.map { CSV.number($0.value) }
      + scalars.filter(\.isBounded).flatMap { [CSV.number($0.limits?.lowerBound), CSV.number($0.limits?.upperBound)] }
      + none + place.map(\.value) + stream.map(\.value) + [nil]
    let others = problem.entries.map { entry -> [String?] in
      let estimator = [type(of: entry.estimator).id, entry.estimator.values.description]
      let empty = bounded.flatMap { _ in [String?](repeating: nil, count: 2) }
      switch entry.result {
      case .success(let assessment):
        return estimator
          + [
            assessment.estimate.method.rawValue, assessment.target.rawValue,
            (assessment.estimate.samples ?? assessment.estimate.outcomes).map { "\($0)" },
          ]
          + scalars.map { scalar in
            CSV.number(Assessment.scalars.first { $0.name == scalar.name }?.value(assessment))
          } + empty + registered.map { CSV.number($0.value(assessment)) } + [CSV.number(assessment.targetError)]
          + place.map(\.value) + stream.map { _ in nil } + [nil]
      case .failure(let reason):
        return estimator + [nil, nil, nil] + scalars.map { _ in nil } + empty + none + place.map(\.value)
          + stream.map { _ in nil } + [reason.reason]
      }
    }
    return CSV(header: header, rows: [own] + others)
  }

  // MARK: - JSON

  /// The report in the format `routegrad.assessment/1`.
  package var json: String {
    let (filed, routed) = (problem.filed, problem.routed)
    return JSONWriter.indented([
      "schema": "routegrad.assessment/1", "version": .string(routeGradVersion),
      "problem": JSONValue(filed.problem.name), "kind": .string(routed.kind.rawValue),
      "experts": JSONValue(routed.experts),
      "mask": ["rule": .string(routed.mask.rule), "threshold": JSONValue(routed.mask.threshold)],
      "target": .string(assessment.target.rawValue), "targetGradient": JSONValue(assessment.targetGradient),
      "samples": assessment.json(source: source, format: format),
      "estimators": .array(problem.entries.map(\.json)),
    ])
  }
}

extension SampleAssessment {
  /// The numbers that are not vectors, by their names in files, with what samples leave open of them.
  fileprivate var scalars: [(name: String, value: Double?, limits: ClosedRange<Double>?, isBounded: Bool)] {
    [
      ("biasNorm", comparison.biasNorm, precision?.biasNorm, true),
      ("relativeBias", comparison.relativeBias, precision?.relativeBias, true),
      ("cosine", comparison.cosine, precision?.cosine, true),
      ("bestScale", comparison.bestScale, nil, false),
      ("scaledRelativeBias", comparison.scaledRelativeBias, nil, false),
      ("totalVariance", moments.totalVariance, precision?.totalVariance, true),
      (
        "relativeStandardDeviation", comparison.relativeStandardDeviation, precision?.relativeStandardDeviation, true
      ),
      ("meanSquaredError", comparison.meanSquaredError, precision?.meanSquaredError, true),
      ("signalToNoise", comparison.signalToNoise, nil, false),
      ("descentProbability", descentProbability, precision?.descentProbability, true),
    ]
  }

  fileprivate func json(source: String, format: String) -> JSONValue {
    var fields: [(String, JSONValue)] = [
      ("source", .string(source)), ("format", .string(format)), ("count", JSONValue(count)),
      ("method", .string((precision == nil ? MomentMethod.enumeration : .monteCarlo).rawValue)),
      ("mean", JSONValue(moments.mean)), ("variance", JSONValue(moments.variance)),
      ("bias", JSONValue(comparison.bias)),
    ]
    fields += scalars.map { ($0.name, JSONValue($0.value)) }
    let intervals = precision.map { precision in
      let known: [(String, JSONValue)] = [
        ("confidence", .number(precision.confidence)), ("seed", .string("\(precision.seed)")),
        ("resamples", JSONValue(precision.resamples)), ("blocks", JSONValue(precision.blocks)),
        ("meanRadius", .number(precision.meanRadius)),
      ]
      let limits = scalars.filter(\.isBounded).map { scalar -> (String, JSONValue) in
        (scalar.name, scalar.limits.map { .numbers([$0.lowerBound, $0.upperBound]) } ?? .null)
      }
      return JSONValue.object((known + limits).map { .init(key: $0.0, value: $0.1) })
    }
    fields.append(("intervals", intervals ?? .null))
    return .object(fields.map { .init(key: $0.0, value: $0.1) })
  }
}
