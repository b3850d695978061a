import FileFormats
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// How the estimators did over all problems of a kind, gathered problem by problem.
struct ReportSummary {
  private let options: Report.Options
  private var kinds: [RoutingProblem.Kind: Members] = [:]

  init(_ options: Report.Options) { self.options = options }

  /// The problems of a kind.
  private struct Members {
    var count = 0
    /// One for each estimator; every problem of a kind lists the same.
    var entries: [Tally] = []
  }

  /// What is kept of an estimator.
  private struct Tally {
    var label: String
    var figures = Columns()
    var ownTarget: GradientTarget?
    var ownFigures = Columns()
    var worst: (relativeBias: Double, cosine: Double?, problem: String)?
  }

  /// Numbers of which medians are taken.
  private struct Columns {
    var count = 0
    var relativeBias: [Double] = []
    var cosine: [Double] = []
    var relativeDeviation: [Double] = []
    var expertEvaluations: [Double] = []

    mutating func add(_ assessment: Assessment) {
      count += 1
      if let value = assessment.relativeBias { relativeBias.append(value) }
      if let value = assessment.cosine { cosine.append(value) }
      if let value = assessment.relativeStandardDeviation { relativeDeviation.append(value) }
      expertEvaluations.append(assessment.expertEvaluations)
    }

    var figures: [String] {
      [
        "\(count)",
        Figures.ratio(median(relativeBias)),
        Figures.ratio(relativeBias.max()),
        Figures.cosine(median(cosine)),
        Figures.deviation(median(relativeDeviation)),
        Figures.significant(median(expertEvaluations)),
      ]
    }
  }

  /// Adds a problem.
  mutating func add(_ problem: Report.Problem) {
    var members = kinds[problem.routed.kind] ?? Members()
    if members.count == 0 { members.entries = problem.entries.map { Tally(label: $0.label) } }
    members.count += 1
    for (index, entry) in problem.entries.enumerated() {
      if let own = entry.ownTarget {
        members.entries[index].ownTarget = own.target
        members.entries[index].ownFigures.add(own)
      }
      guard let assessment = try? entry.result.get() else { continue }
      members.entries[index].figures.add(assessment)
      if let bias = assessment.relativeBias, bias > (members.entries[index].worst?.relativeBias ?? Figures.rounding) {
        members.entries[index].worst = (bias, assessment.cosine, problem.filed.title)
      }
    }
    kinds[problem.routed.kind] = members
  }

  /// For each kind of which there are several problems, how the estimators did over all of them.
  var sections: [TextSection] {
    several.map { kind, members in
      var table = TextTable(columns: [
        .init(title: "estimator", isText: true), .init(title: "problems"), .init(title: "median\nrel. bias"),
        .init(title: "worst\nrel. bias"), .init(title: "median\ncosine"), .init(title: "median\nrel. sd"),
        .init(title: "experts"),
      ])
      for entry in members.entries {
        table.rows.append(.init(cells: [entry.label] + entry.figures.figures))
        if let target = entry.ownTarget {
          table.rows.append(.init(cells: ["  vs \(target.rawValue)"] + entry.ownFigures.figures, isSecondary: true))
        }
      }
      return TextSection(
        title: "Summary of \(members.count) \(kind.rawValue) problems",
        facts: "against \(options.assessment.target.rawValue)", table: table)
    }
  }

  /// For each of those kinds, where each estimator has its largest relative bias; the worst first.
  var worstCases: [TextSection] {
    several.compactMap { kind, members in
      let worst = members.entries.compactMap { entry in entry.worst.map { (entry.label, $0) } }
        .sorted { $0.1.relativeBias > $1.1.relativeBias }
      guard !worst.isEmpty else { return nil }
      var table = TextTable(columns: [
        .init(title: "estimator", isText: true), .init(title: "worst\nrel. bias"), .init(title: "cosine"),
        .init(title: "on the problem", isText: true),
      ])
      table.rows = worst.map { label, worst in
        .init(
          cells: [
            label, Figures.ratio(worst.relativeBias), Figures.cosine(worst.cosine),
            worst.problem.onOneLine.fitted(to: 60, ellipsis: "…"),
          ])
      }
      return TextSection(title: "Worst cases of \(members.count) \(kind.rawValue) problems", table: table)
    }
  }

  private var several: [(RoutingProblem.Kind, Members)] {
    RoutingProblem.Kind.allCases.compactMap { kind in
      kinds[kind].flatMap { $0.count > 1 ? (kind, $0) : nil }
    }
  }
}
