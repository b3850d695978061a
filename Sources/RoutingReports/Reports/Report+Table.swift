import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension Report {
  /// The report in a format.
  ///
  /// - Parameters:
  ///   - format: the format; tables and Markdown show estimators against their own target too if
  ///     ``Options/ownTargets`` was asked for.
  ///   - style: colours for tables; the other formats have none.
  public func rendered(as format: OutputFormat, style: TextStyle = .plain) -> String {
    switch format {
    case .json: json
    case .csv: csv
    case .table: sections.map { $0.text(style: style) }.joined(separator: "\n")
    case .markdown: sections.map(\.markdown).joined(separator: "\n")
    }
  }

  /// A table for each problem, a summary for each kind that has several, and the legend.
  private var sections: [TextSection] {
    problems.enumerated().map { $1.section(index: $0, options: options) } + summaries + [legend]
  }

  private var legend: TextSection {
    let target = options.assessment.target
    var notes = [
      "∇: the \(target.rawValue) gradient; ĝ: one sample of an estimator; experts: expert evaluations for it.",
      "rel. bias: ‖E ĝ − ∇‖ / ‖∇‖; rescaled: that of the best multiple of ĝ; rel. sd: √tr Cov ĝ / ‖∇‖.",
      "P(descent): P(ĝ·∇ > 0). 0: nothing but rounding. \(Figures.undefined): not defined, or ∇ is zero.",
    ]
    if let sampling = options.assessment.sampling {
      notes.append(
        "Monte Carlo: \(sampling.samples) samples per estimator, seed \(sampling.seed).")
    }
    if problems.contains(where: \.hasErrors) {
      notes.append("error of mean, the largest coordinate's: ∫ a bound (quadrature), ~ a standard error (Monte Carlo).")
    }
    if problems.contains(where: { $0.entries.contains { $0.ownTarget != nil } }) {
      notes.append("Rows \"vs …\" hold the estimator above them against the target that it claims.")
    }
    if let note { notes.append(note.prefix(1).uppercased() + note.dropFirst() + ".") }
    return TextSection(notes: notes)
  }
}

extension Report.Problem {
  /// Whether an estimator's moments are not from enumeration, and so have errors.
  fileprivate var hasErrors: Bool {
    entries.contains { entry in
      (try? entry.result.get()).map { $0.estimate.method != .enumeration } ?? false
    }
  }

  fileprivate func section(index: Int, options: Report.Options) -> TextSection {
    var table = TextTable(columns: [
      .init(title: "estimator", isText: true), .init(title: "rel. bias"), .init(title: "cosine"),
      .init(title: "rel. bias\nrescaled"), .init(title: "rel. sd"), .init(title: "P(descent)"),
      .init(title: "experts"),
    ])
    let showsErrors = hasErrors
    if showsErrors { table.columns.append(.init(title: "error\nof mean")) }
    var missing: [(estimator: String, reason: String)] = []
    for entry in entries {
      switch entry.result {
      case .success(let assessment):
        func cells(_ label: String, _ assessment: Assessment) -> [String] {
          [label] + assessment.figures + (showsErrors ? [assessment.estimate.errorFigure] : [])
        }
        table.rows.append(.init(cells: cells(entry.label, assessment)))
        if let own = entry.ownTarget {
          table.rows.append(.init(cells: cells("  vs \(own.target.rawValue)", own), isSecondary: true))
        }
      case .failure(let reason): missing.append((entry.label, reason.reason))
      }
    }
    var facts = [filed.size]
    if routed.space != .none {
      let kept = routed.distribution.support.count
      facts.append("\(kept) kept by \(routed.space.words)")
    }
    if let expectedLoss { facts.append("expected loss \(Figures.significant(expectedLoss))") }
    return TextSection(
      title: filed.title, facts: facts.joined(separator: ", "), table: table.rows.isEmpty ? nil : table,
      notes: TextSection.unavailable(missing))
  }
}

extension FiledProblem {
  /// The problem's name, or else its place.
  var title: String { problem.name ?? (place.isEmpty ? file : "\(file) \(place)") }

  /// `mixture of 8 experts`, `categorical, 2 choices`.
  var size: String {
    let count = problem.logits.count
    let plural = count == 1 ? "" : "s"
    return problem.kind == .mixture
      ? "mixture of \(count) expert\(plural)" : "categorical, \(count) choice\(plural)"
  }
}

extension Report.Entry {
  /// The estimator's specification, without parameters that have their standard values.
  var label: String { estimator.label }
}

extension GradientEstimator {
  /// Its specification, without parameters that have their standard values: `reinmax`, `reinmax:tau=1.3`.
  var label: String {
    // The registry knows standard values that follow from others; an estimator of elsewhere has what it declares.
    let registered = EstimatorRegistry.standard.first { type(of: $0) == Self.self }?.values
    func standard(_ name: String) -> ParameterValue? {
      registered?[name] ?? Self.parameters.first { $0.name == name }?.standard
    }
    let given = values.entries.filter { standard($0.name) != $0.value }.map { "\($0.name)=\($0.value)" }
    return given.isEmpty ? Self.id : "\(Self.id):\(given.joined(separator: ","))"
  }
}

extension EstimatedMoments {
  /// The error of the mean, and what kind of error it is.
  fileprivate var errorFigure: String {
    let error = Figures.significant(meanError)
    return switch method {
    case .enumeration: error
    case .quadrature: "∫ \(error)"
    case .monteCarlo: "~ \(error)"
    }
  }
}

extension Assessment {
  /// The cells of a row after the estimator.
  fileprivate var figures: [String] {
    [
      Figures.ratio(relativeBias), Figures.cosine(cosine), Figures.ratio(scaledRelativeBias),
      Figures.deviation(relativeStandardDeviation), Figures.probability(descentProbability),
      Figures.significant(expertEvaluations),
    ]
  }
}
