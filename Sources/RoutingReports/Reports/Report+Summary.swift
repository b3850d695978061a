import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension Report {
  /// For each kind of which there are several problems, how the estimators did over all of them.
  var summaries: [TextSection] {
    RoutingProblem.Kind.allCases.compactMap { kind in
      let members = problems.filter { $0.routed.kind == kind }
      return members.count > 1 ? summary(of: members, kind: kind) : nil
    }
  }

  private func summary(of members: [Problem], kind: RoutingProblem.Kind) -> TextSection {
    var table = TextTable(columns: [
      .init(title: "estimator", isText: true), .init(title: "problems"), .init(title: "median\nrel. bias"),
      .init(title: "worst\nrel. bias"), .init(title: "median\ncosine"), .init(title: "median\nrel. sd"),
      .init(title: "experts"),
    ])
    // Every problem of a kind lists the same estimators.
    for index in members[0].entries.indices {
      let entries = members.map { $0.entries[index] }
      let assessments = entries.compactMap { try? $0.result.get() }
      table.rows.append(.init(cells: [entries[0].label] + Self.figures(assessments)))
      let own = entries.compactMap(\.ownTarget)
      if let target = own.first?.target {
        table.rows.append(.init(cells: ["  vs \(target.rawValue)"] + Self.figures(own), isSecondary: true))
      }
    }
    return TextSection(
      title: "Summary of \(members.count) \(kind.rawValue) problems",
      facts: "against \(options.assessment.target.rawValue)", table: table)
  }

  private static func figures(_ assessments: [Assessment]) -> [String] {
    func column(_ quantity: (Assessment) -> Double?) -> [Double] { assessments.compactMap(quantity) }
    return [
      "\(assessments.count)",
      Figures.ratio(median(column(\.relativeBias))),
      Figures.ratio(column(\.relativeBias).max()),
      Figures.cosine(median(column(\.cosine))),
      Figures.deviation(median(column(\.relativeStandardDeviation))),
      Figures.significant(median(column(\.expertEvaluations))),
    ]
  }
}
