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

  /// A comparison of the runs below a folder, with what is known there of their tuning.
  ///
  /// - Parameters:
  ///   - folder: what `compare --runs` made, or any folder of runs.
  ///   - baseline: as of ``Comparison``.
  /// - Throws: ``Refusal`` about the runs, or about the file that says of their tuning.
  package init(of folder: String, baseline: String? = nil) throws(Refusal) {
    let comparison = try Comparison(RunCollection(below: folder), baseline: baseline)
    guard let sweep = try Sweep(in: folder) else {
      self.init(comparison)
      return
    }
    self.init(comparison, notes: sweep.notes(try sweep.state(in: folder)))
  }

  /// The report in a format.
  public func rendered(as format: OutputFormat, style: TextStyle = .plain) -> String {
    switch format {
    case .json: json
    case .csv: csv
    case .table: sections.map { $0.text(style: style) }.joined(separator: "\n")
    case .markdown: sections.map(\.markdown).joined(separator: "\n")
    case .latex: TextSection.latex(sections)
    }
  }

  /// The report as a page.
  package var page: HTMLPage {
    HTMLPage(
      title: "Comparison: \(title)", charts: [curves, speedUps], heatMaps: NetworkAudit.heatMaps(networkAudits),
      sections: sections, json: json)
  }

  private var networkAudits: [(name: String, audit: NetworkAudit)] {
    comparison.entries.compactMap { entry in entry.networkAudit.map { (entry.label, $0) } }
  }

  private var curves: Chart {
    Chart(
      title: "Held-out loss, with 95 % intervals over seeds", x: .init("step"), y: .init("loss", isLogarithmic: true),
      series: comparison.entries.map { entry in
        let curve = entry.meanCurve ?? []
        return .init(
          name: entry.label, points: curve.map { .init(x: Double($0.step), y: $0.loss, name: entry.label) },
          isCurve: true, band: curve.map { ($0.low, $0.high) })
      })
  }

  private var speedUps: Chart {
    Chart(
      title: "Speed-up against the bias of the router's gradient", x: .init("rel. bias"), y: .init("speed-up"),
      series: comparison.entries.compactMap { entry in
        guard let audit = entry.audit, let speedUp = entry.speedUp else { return nil }
        return .init(name: entry.label, points: [.init(x: audit.relativeBias, y: speedUp.value, name: entry.label)])
      })
  }

  private var sections: [TextSection] {
    var sections = [TextSection(title: title, facts: facts, table: table)]
    sections += [weightsSection, winsSection, auditSection].compactMap { $0 } + networkSections
    sections.append(TextSection(title: "Reading", notes: reading))
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
    if comparison.entries.contains(where: { $0.networkAudit != nil }) {
      legend.append(
        "bias, cosine: of the routers' gradient in training against dense back-propagation at the logits, W at the router's weight, "
          + "means over audits and seeds. unseen: the share of what the experts left out would say. load: the fullest expert's, 1 is even."
      )
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

  /// The weights of the auxiliary losses, where they are not the same for all.
  private var weightsSection: TextSection? {
    guard comparison.hasOwnWeights else { return nil }
    var table = TextTable(columns: [
      .init(title: "weights of auxiliary losses", isText: true), .init(title: "load balance"), .init(title: "z-loss"),
    ])
    for entry in comparison.entries {
      let weights = [entry.weights.loadBalance, entry.weights.zLoss].map { Figures.significant($0) }
      table.rows.append(.init(cells: [entry.label] + weights))
    }
    return TextSection(table: table)
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

  /// The routers of networks, layer by layer.
  private var networkSections: [TextSection] {
    let audits = networkAudits
    guard !audits.isEmpty else { return [] }
    let contrasts = NetworkAudit.contrastTable(audits).map {
      TextSection(title: "Some tokens against the exact gradient of their expected loss", table: $0)
    }
    return [TextSection(table: NetworkAudit.table(audits))] + (contrasts.map { [$0] } ?? [])
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

  /// The geometric mean of the losses at each step that all runs have, with Student's interval of the mean log; nil if none ended.
  var meanCurve: [(step: Int, loss: Double, low: Double, high: Double)]? {
    let curves = runs.compactMap(\.curve)
    guard let steps = curves.first?.steps else { return nil }
    let shared = steps.indices.filter { k in
      curves.allSatisfy { $0.steps.indices.contains(k) && $0.steps[k] == steps[k] }
    }
    return shared.map { k in
      let logs = PairedDifference(curves.map { log($0.losses[k]) })
      return (
        steps[k], exp(logs.mean), exp(logs.interval?.lowerBound ?? logs.mean),
        exp(logs.interval?.upperBound ?? logs.mean)
      )
    }
  }
}
