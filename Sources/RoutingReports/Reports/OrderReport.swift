import FileFormats
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import RoutingVerification

/// Measured next to theoretical orders of accuracy: what `routegrad order` prints.
package struct OrderReport: Sendable {
  /// One entry for each problem, in their order.
  package let problems: [Problem]
  /// What a reader should be told besides, in one line; nil if nothing.
  package let note: String?

  /// The orders measured on a problem.
  package struct Problem: Sendable {
    /// The problem, and where it came from.
    package let filed: FiledProblem
    /// The measurements, in registry order.
    package let measurements: [OrderMeasurement]
  }

  /// Measures on problems.
  ///
  /// - Parameters:
  ///   - problems: in the order in which they are reported.
  ///   - mask: the mask; nil for each problem's own.
  ///   - threads: the number of threads.
  /// - Throws: ``Refusal`` of code `wrongUsage` if the mask does not fit the problems.
  package init(
    on problems: [FiledProblem], mask: Mask? = nil, threads: Int = 1
  ) throws(Refusal) {
    let routed = try FiledProblem.route(problems, mask: mask)
    self.problems = parallelMap(0..<problems.count, threads: threads) { k in
      Problem(filed: problems[k], measurements: OrderMeasurement.measurements(on: routed.problems[k]))
    }
    self.note = routed.note
  }

  /// The report in a format.
  package func rendered(as format: OutputFormat, style: TextStyle = .plain) -> String {
    switch format {
    case .json: json
    case .csv: csv
    case .table: sections.map { $0.text(style: style) }.joined(separator: "\n")
    case .markdown: sections.map(\.markdown).joined(separator: "\n")
    case .latex: TextSection.latex(sections)
    }
  }
}

extension OrderMeasurement {
  /// p + 1, the slope that the claimed order means.
  fileprivate var theoreticalSlope: Int? { theoretical.map { $0 + 1 } }

  fileprivate var isExact: Bool { outcome == .exact }

  /// Slope and standard error, if there are any.
  fileprivate var slope: (value: Double, standardError: Double)? {
    if case .slope(let value, let standardError) = outcome { (value, standardError) } else { nil }
  }

  /// Why there is neither a slope nor exactness.
  fileprivate var reason: String? {
    if case .undetermined(let reason) = outcome { reason } else { nil }
  }
}

// MARK: - For programs

extension OrderReport {
  /// The report in the format `routegrad.order/1`.
  package var json: String {
    JSONWriter.indented([
      "schema": "routegrad.order/1", "version": .string(routeGradVersion),
      "problems": .array(
        problems.map { problem in
          [
            "name": JSONValue(problem.filed.problem.name),
            "kind": .string(problem.filed.problem.kind.rawValue),
            "experts": JSONValue(problem.filed.problem.logits.count),
            "orders": .array(problem.measurements.map(\.json)),
          ]
        }),
    ])
  }

  /// One row for each problem and measurement.
  package var csv: String {
    let header = [
      "problem", "name", "kind", "experts", "id", "parameters", "target", "theoreticalOrder",
      "theoreticalSlope",
      "measuredSlope", "standardError", "exact", "unavailable",
    ]
    let rows = problems.enumerated().flatMap { index, problem in
      problem.measurements.map { measurement -> [String?] in
        [
          "\(index)", problem.filed.problem.name, problem.filed.problem.kind.rawValue,
          "\(problem.filed.problem.logits.count)", type(of: measurement.estimator).id,
          measurement.estimator.values.description, measurement.target.rawValue,
          measurement.theoretical.map { "\($0)" }, measurement.theoreticalSlope.map { "\($0)" },
          CSV.number(measurement.slope?.value), CSV.number(measurement.slope?.standardError),
          measurement.reason == nil ? "\(measurement.isExact)" : nil, measurement.reason,
        ]
      }
    }
    return CSV(header: header, rows: rows).text
  }
}

extension OrderMeasurement {
  fileprivate var json: JSONValue {
    var fields: [(String, JSONValue)] = [
      ("id", .string(type(of: estimator).id)),
      ("parameters", estimator.values.json),
      ("target", .string(target.rawValue)),
      ("theoreticalOrder", JSONValue(theoretical)),
      ("theoreticalSlope", JSONValue(theoreticalSlope)),
      ("measuredSlope", JSONValue(slope?.value)),
      ("standardError", JSONValue(slope?.standardError)),
      ("exact", .bool(isExact)),
    ]
    if let reason { fields.append(("unavailable", .string(reason))) }
    return .object(fields.map { .init(key: $0.0, value: $0.1) })
  }
}

// MARK: - For people

extension OrderReport {
  private var sections: [TextSection] {
    var notes = [
      "The problem is flattened by h → 0, and the slope of log ‖bias‖ against log h is fitted:",
      "p + 1 for a rule of order p. exact: the bias is rounding at every h. ±: standard error of the fit.",
    ]
    if let note { notes.append(note.prefix(1).uppercased() + note.dropFirst() + ".") }
    return problems.map(\.section) + [TextSection(notes: notes)]
  }
}

extension OrderReport.Problem {
  fileprivate var section: TextSection {
    var table = TextTable(columns: [
      .init(title: "estimator", isText: true), .init(title: "order"), .init(title: "slope\nin theory"),
      .init(title: "slope\nmeasured"), .init(title: "±"), .init(title: "target", isText: true),
    ])
    var missing: [(estimator: String, reason: String)] = []
    for measurement in measurements {
      let label = measurement.estimator.label
      if let reason = measurement.reason {
        missing.append((label, reason))
        continue
      }
      let claimsExactness = measurement.estimator.claims.exactness == .all
      table.rows.append(
        .init(cells: [
          label, measurement.theoretical.map { "\($0)" } ?? Figures.undefined,
          measurement.theoreticalSlope.map { "\($0)" } ?? (claimsExactness ? "exact" : Figures.undefined),
          measurement.slope.map { Figures.fixed($0.value, decimals: 3) } ?? "exact",
          measurement.slope.map { Figures.significant($0.standardError) } ?? "", measurement.target.rawValue,
        ]))
    }
    return TextSection(
      title: filed.title, facts: filed.size, table: table.rows.isEmpty ? nil : table,
      notes: TextSection.unavailable(missing))
  }
}
