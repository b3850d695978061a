import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension Report.Problem {
  /// Whether an estimator's moments are not from enumeration, and so have errors.
  var hasErrors: Bool {
    entries.contains { entry in
      (try? entry.result.get()).map { $0.estimate.method != .enumeration } ?? false
    }
  }

  func section() -> TextSection {
    var table = TextTable(columns: [
      .init(title: "estimator", isText: true), .init(title: "rel.\nbias"), .init(title: "cosine"),
      .init(title: "rel.\nbias\nrescaled"), .init(title: "rel. sd"), .init(title: "P\n(descent)"),
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
    if routed.mask != .none {
      let kept = routed.distribution.support.count
      facts.append("\(kept) kept by \(routed.mask.words)")
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
