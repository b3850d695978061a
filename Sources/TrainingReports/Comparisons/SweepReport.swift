import FileFormats
import RouterTraining
import RoutingCore
import RoutingReports

/// How far a comparison is that is being made: what `routegrad compare --status` prints.
package struct SweepReport: Sendable {
  static let schema = "routegrad.sweep-status/1"

  private let sweep: Sweep
  private let state: Sweep.State
  private let progress: [Sweep.Progress]

  /// Reads the folder of a sweep, whoever is at work there.
  ///
  /// - Throws: ``Refusal`` if it is none, or what is there is damaged.
  package init(of folder: String) throws(Refusal) {
    guard let sweep = try Sweep(in: folder) else {
      throw Refusal(
        .noInput, "\(folder)/\(Sweep.fileName): cannot be read: expected what 'routegrad compare --runs' writes")
    }
    self.sweep = sweep
    state = try sweep.state(in: folder)
    progress = try sweep.progress(state)
  }

  /// The report in a format.
  package func rendered(as format: OutputFormat, style: TextStyle = .plain) -> String {
    switch format {
    case .json: json
    case .csv: csv
    case .table: section.text(style: style)
    case .markdown: section.markdown
    case .latex: TextSection.latex([section])
    }
  }

  private var rows: [(router: TrainingRouter, point: TunedPoint?, progress: Sweep.Progress)] {
    sweep.routers.indices.map { (sweep.routers[$0], state.points[$0], progress[$0]) }
  }

  private var section: TextSection {
    var table = TextTable(columns: [
      .init(title: "router", isText: true), .init(title: "rate"), .init(title: "tuning"), .init(title: "runs"),
      .init(title: "begun"), .init(title: "steps"),
    ])
    for (router, point, progress) in rows {
      table.rows.append(
        .init(cells: [
          router.label, point.map { Figures.significant($0.rate) } ?? Figures.undefined,
          progress.tuning.map { "\($0.complete)/\($0.known)" } ?? Figures.undefined,
          "\(progress.runs.complete)/\(progress.runs.planned)", "\(progress.begun)",
          "\(100 * progress.steps.done / max(progress.steps.known, 1)) %",
        ]))
    }
    let facts = "\(sweep.plan.steps) steps, \(sweep.seeds.count) seed\(sweep.seeds.count == 1 ? "" : "s")"
    let note = state.isComplete ? "All is trained." : "\(state.left) runs that are known are left."
    return TextSection(title: sweep.settings.id, facts: facts, table: table, notes: [note])
  }

  private var json: String {
    JSONWriter.indented([
      "schema": .string(Self.schema), "version": .string(routeGradVersion), "model": .string(sweep.settings.id),
      "complete": .bool(state.isComplete),
      "routers": .array(
        rows.map { router, point, progress in
          [
            "router": .string(router.label), "learningRate": JSONValue(point?.rate),
            "weights": point?.weights.json ?? .null,
            "tuning": progress.tuning.map { ["complete": JSONValue($0.complete), "known": JSONValue($0.known)] }
              ?? .null,
            "runs": ["complete": JSONValue(progress.runs.complete), "planned": JSONValue(progress.runs.planned)],
            "begun": JSONValue(progress.begun),
            "steps": ["done": JSONValue(progress.steps.done), "known": JSONValue(progress.steps.known)],
          ]
        }),
    ])
  }

  private var csv: String {
    CSV(
      header: [
        "router", "learning_rate", "weights.load_balance", "weights.z_loss", "tuning.complete", "tuning.known",
        "runs.complete", "runs.planned", "begun", "steps.done", "steps.known", "model", "complete",
      ],
      rows: rows.map { router, point, progress in
        [
          router.label, CSV.number(point?.rate), CSV.number(point?.weights.loadBalance),
          CSV.number(point?.weights.zLoss),
          progress.tuning.map { "\($0.complete)" }, progress.tuning.map { "\($0.known)" },
          "\(progress.runs.complete)", "\(progress.runs.planned)", "\(progress.begun)", "\(progress.steps.done)",
          "\(progress.steps.known)", sweep.settings.id, "\(state.isComplete)",
        ]
      }
    ).text
  }
}
