import CStandardLibrary
import FileFormats
import RouterTraining
import RoutingCore
import RoutingReports

/// What `routegrad compare` prints: routers against a baseline, and what that comes to in words.
public struct ComparisonReport: Sendable {
  package let comparison: Comparison
  /// Remarks on how it came about.
  package var notes: [String]

  public init(_ comparison: Comparison, notes: [String] = []) {
    self.comparison = comparison
    self.notes = notes
  }

  /// The report in a format.
  public func rendered(as format: OutputFormat, style: TextStyle = .plain) -> String {
    switch format {
    case .json: json
    case .csv: csv
    case .table: sections.map { $0.text(style: style) }.joined(separator: "\n")
    case .markdown: sections.map(\.markdown).joined(separator: "\n")
    }
  }

  private var sections: [TextSection] {
    var sections = [TextSection(title: title, facts: facts, table: table)]
    sections += [winsSection, auditSection].compactMap { $0 } + [TextSection(title: "Reading", notes: reading)]
    var legend = [
      "loss: the geometric mean of the final held-out losses. difference: of log final loss from \(comparison.baseline)'s, with "
        + "Student's 95 % interval over matched seeds. speed-up: steps of \(comparison.baseline) by steps of the router to the worse "
        + "of the two final losses, geometric mean with bootstrap interval."
    ]
    if comparison.entries.contains(where: { $0.audit != nil }) {
      legend.append(
        "cosine, rel. bias, rel. sd: of the router's gradient in training against the exact gradient of the expected loss, means over "
          + "audits and seeds.")
    }
    if !comparison.unfinished.isEmpty {
      legend.append("Left out, not complete: \(comparison.unfinished.joined(separator: ", ")).")
    }
    sections.append(TextSection(notes: legend + notes))
    return sections
  }

  private var title: String { comparison.settings.id }

  private var facts: String {
    let seeds = Set(comparison.entries.flatMap { $0.runs.map(\.manifest.seed) }).count
    return "\(comparison.plan.steps) steps, \(seeds) seed\(seeds == 1 ? "" : "s"), against \(comparison.baseline)"
  }

  private var table: TextTable {
    var table = TextTable(columns: [
      .init(title: "router", isText: true), .init(title: "rate"), .init(title: "loss"), .init(title: "difference"),
      .init(title: "p"), .init(title: "speed-up"), .init(title: "wins"),
    ])
    for entry in comparison.entries {
      let cells = [
        entry.label, Figures.significant(entry.learningRate), Figures.significant(entry.geometricMeanLoss),
        entry.difference.map { Self.words($0.mean, $0.interval, decimals: 2) } ?? Figures.undefined,
        entry.difference?.p.map { $0 < 1e-3 ? "<0.001" : Figures.fixed($0, decimals: 3) } ?? Figures.undefined,
        entry.speedUp.map { Self.words($0) } ?? Figures.undefined,
        entry.wins.of > 0 ? "\(entry.wins.count)/\(entry.wins.of)" : Figures.undefined,
      ]
      table.rows.append(.init(cells: cells))
    }
    return table
  }

  /// Speed-ups seed by seed.
  private var winsSection: TextSection? {
    let entries = comparison.entries.filter { !$0.speedUps.isEmpty }
    let seeds = Set(entries.flatMap { $0.speedUps.map(\.seed) }).sorted()
    // More do not fit a line.
    guard !entries.isEmpty, seeds.count <= 12 else { return nil }
    var table = TextTable(
      columns: [.init(title: "speed-up by seed", isText: true)] + seeds.map { .init(title: "\($0)") })
    for entry in entries {
      table.rows.append(
        .init(
          cells: [entry.label]
            + seeds.map { seed in
              entry.speedUps.first { $0.seed == seed }.map { Figures.fixed($0.value, decimals: 2) } ?? Figures.undefined
            }))
    }
    return TextSection(table: table)
  }

  /// The router's gradient beside the speed-up.
  private var auditSection: TextSection? {
    let entries = comparison.entries.filter { $0.audit != nil }
    guard !entries.isEmpty else { return nil }
    var table = TextTable(columns: [
      .init(title: "router's gradient", isText: true), .init(title: "cosine"), .init(title: "rel. bias"),
      .init(title: "rel. sd"), .init(title: "speed-up"),
    ])
    for entry in entries {
      table.rows.append(
        .init(cells: [
          entry.label, entry.audit.map { Figures.fixed($0.cosine, decimals: 3) } ?? Figures.undefined,
          Figures.ratio(entry.audit?.relativeBias), Figures.deviation(entry.audit?.relativeDeviation),
          entry.speedUp.map { Self.words($0) } ?? Figures.undefined,
        ]))
    }
    return TextSection(table: table)
  }

  /// `1.43 [1.28, 1.58]`.
  static func words(_ mean: GeometricMean) -> String { words(mean.value, mean.interval, decimals: 2) }

  private static func words(_ mean: Double, _ interval: ClosedRange<Double>?, decimals: Int) -> String {
    func figure(_ x: Double) -> String { Figures.fixed(x, decimals: decimals) }
    return figure(mean) + (interval.map { " [\(figure($0.lowerBound)), \(figure($0.upperBound))]" } ?? "")
  }
}

extension Comparison.Entry {
  /// `exp(mean log loss)` of the runs that did not diverge.
  var geometricMeanLoss: Double? {
    finalLosses.isEmpty ? nil : exp(finalLosses.reduce(0) { $0 + log($1) } / Double(finalLosses.count))
  }
}
