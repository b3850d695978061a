import FileFormats
import LayerAudits
import RoutingCore
import RoutingEstimators

extension LayerAudit {
  /// The audit in a format.
  ///
  /// - Parameters:
  ///   - format: the format.
  ///   - name: what the layer is called.
  ///   - style: colours for tables; the other formats have none.
  public func rendered(as format: OutputFormat, name: String, style: TextStyle = .plain) -> String {
    switch format {
    case .json: json
    case .csv: csv
    case .table: sections(name).map { $0.text(style: style) }.joined(separator: "\n")
    case .markdown: sections(name).map(\.markdown).joined(separator: "\n")
    case .latex: TextSection.latex(sections(name))
    }
  }

  /// The audit as a page.
  package func page(name: String) -> HTMLPage {
    let charts = groups.map { group in
      Chart(
        title: "\(group.rawValue): bias against standard deviation", x: .init("rel. sd"), y: .init("rel. bias"),
        series: entries.compactMap { entry in
          guard let figures = (try? entry.result.get())?[group], let bias = figures.relativeBias,
            let deviation = figures.relativeStandardDeviation
          else { return nil }
          let label = entry.estimator.label
          return .init(name: label, points: [.init(x: deviation, y: bias < Figures.rounding ? 0 : bias, name: label)])
        })
    }
    return HTMLPage(
      title: "Audit of \(name)", charts: charts, heatMaps: [heatMap], sections: sections(name), json: json)
  }

  private var heatMap: HeatMap {
    let found = entries.compactMap { entry in (try? entry.result.get()).map { (entry.estimator.label, $0) } }
    return HeatMap(
      title: "Relative bias by group of parameters", corner: "estimator", rows: found.map(\.0),
      columns: groups.map(\.rawValue),
      values: found.map { _, figures in groups.map { figures[$0]?.relativeBias } })
  }

  // MARK: - For programs

  /// The audit in the format `routegrad.audit/1`.
  public var json: String {
    var fields: [(String, JSONValue)] = [
      ("schema", "routegrad.audit/1"), ("version", .string(routeGradVersion)), ("tokens", JSONValue(tokens)),
      ("experts", JSONValue(experts)), ("expectedLoss", JSONValue(expectedLoss)),
      ("mask", ["rule": .string(mask.rule), "threshold": JSONValue(mask.threshold)]),
      ("target", .string(target.rawValue)),
      (
        "targets",
        .object(
          targets.map { target, norms in
            .init(
              key: target.rawValue,
              value: .object(groups.map { .init(key: $0.rawValue, value: JSONValue(norms[$0])) }))
          })
      ), ("estimators", .array(entries.map { json($0) })),
    ]
    if let swaps {
      fields.append(
        (
          "swaps",
          [
            "tokens": JSONValue(swaps.tokens), "evaluations": JSONValue(swaps.evaluations),
            "lowered": JSONValue(swaps.lowered), "gain": JSONValue(swaps.gain), "change": JSONValue(swaps.change),
          ]
        ))
    }
    return JSONWriter.indented(.object(fields.map { .init(key: $0.0, value: $0.1) }))
  }

  private func json(_ entry: Entry) -> JSONValue {
    switch entry.result {
    case .failure(let reason): .unavailable(entry.estimator, reason)
    case .success(let figures):
      [
        "id": .string(type(of: entry.estimator).id), "parameters": entry.estimator.values.json,
        "method": "enumeration",
        "groups": .object(
          groups.map { group in
            .init(
              key: group.rawValue,
              value: .object(
                GroupFigures.fields.map { name, value in
                  .init(key: name, value: JSONValue(figures[group].flatMap(value)))
                }))
          }),
      ]
    }
  }

  /// One row for each estimator and group: its figures, the norm of every target there, and what is said of the whole layer.
  public var csv: String {
    let swapped: [(name: String, value: String?)] = [
      ("swapTokens", swaps.map { "\($0.tokens)" }), ("swapEvaluations", swaps.map { "\($0.evaluations)" }),
      ("swapLowered", CSV.number(swaps?.lowered)), ("swapGain", CSV.number(swaps?.gain)),
      ("swapChange", CSV.number(swaps?.change)),
    ]
    let whole =
      ["\(tokens)", "\(experts)", CSV.number(expectedLoss), mask.rule, CSV.number(mask.threshold)]
      + swapped.map(\.value)
    let rows = entries.flatMap { entry -> [[String?]] in
      let estimator = [type(of: entry.estimator).id, entry.estimator.values.description]
      switch entry.result {
      case .failure(let reason):
        let empty = [String?](repeating: nil, count: GroupFigures.fields.count + 1 + targets.count)
        return [estimator + [target.rawValue, nil] + empty + whole + [reason.reason]]
      case .success(let figures):
        return groups.map { group in
          estimator + [target.rawValue, group.rawValue]
            + GroupFigures.fields.map { CSV.number(figures[group].flatMap($0.value)) } + ["enumeration"]
            + targets.map { CSV.number($0.norms[group]) } + whole + [nil]
        }
      }
    }
    let header =
      ["id", "parameters", "target", "group"] + GroupFigures.fields.map(\.name) + ["method"]
      + targets.map { "norm of \($0.target.rawValue)" }
      + ["tokens", "experts", "expectedLoss", "maskRule", "maskThreshold"] + swapped.map(\.name) + ["unavailable"]
    return CSV(header: header, rows: rows).text
  }

  // MARK: - For people

  private func sections(_ name: String) -> [TextSection] {
    var facts = [
      "\(tokens) tokens", "\(experts) experts",
      "\(swaps == nil ? "expected loss" : "loss") \(Figures.significant(expectedLoss))",
    ]
    if mask != .none { facts.append(mask.rule) }
    var tables = groups.map { table($0) }
    tables[0].title = name
    tables[0].facts = facts.joined(separator: ", ")
    let missing = entries.compactMap { entry -> (estimator: String, reason: String)? in
      guard case .failure(let reason) = entry.result else { return nil }
      return (entry.estimator.label, reason.reason)
    }
    return tables + [
      TextSection(
        notes: TextSection.unavailable(missing) + [
          "∇: the \(target.rawValue) gradient of the mean loss over the tokens, for each group of parameters.",
          "rel. bias: ‖E ĝ − ∇‖ / ‖∇‖; rel. sd: √tr Cov ĝ / ‖∇‖. 0: nothing but rounding.",
          "\(Figures.undefined): the target is not defined for the group, or is zero.",
        ] + swapNotes)
    ]
  }

  private var swapNotes: [String] {
    guard let swaps, swaps.tokens > 0 else { return [] }
    return [
      "Another expert for the last one: lowers the loss for \(Figures.significant(100 * swaps.lowered)) % of tokens, by "
        + "\(Figures.significant(swaps.gain)) at best; changes it by \(Figures.significant(swaps.change)). Means over "
        + "\(swaps.tokens) tokens, \(swaps.evaluations) evaluations."
    ]
  }

  private func table(_ group: ParameterGroup) -> TextSection {
    var table = TextTable(columns: [
      .init(title: group.rawValue, isText: true), .init(title: "‖∇‖"), .init(title: "‖E ĝ‖"), .init(title: "rel. bias"),
      .init(title: "cosine"), .init(title: "rel. sd"),
    ])
    for entry in entries {
      guard case .success(let figures) = entry.result, let own = figures[group] else { continue }
      table.rows.append(
        .init(cells: [
          entry.estimator.label, Figures.significant(own.targetNorm), Figures.significant(own.meanNorm),
          Figures.ratio(own.relativeBias), Figures.cosine(own.cosine),
          Figures.deviation(own.relativeStandardDeviation),
        ]))
    }
    return TextSection(table: table)
  }
}

extension GroupFigures {
  /// The figures by their names in files.
  static let fields: [(name: String, value: @Sendable (GroupFigures) -> Double?)] = [
    ("targetNorm", { $0.targetNorm }),
    ("meanNorm", { $0.meanNorm }),
    ("biasNorm", { $0.biasNorm }),
    ("relativeBias", { $0.relativeBias }),
    ("cosine", { $0.cosine }),
    ("totalVariance", { $0.totalVariance }),
    ("relativeStandardDeviation", { $0.relativeStandardDeviation }),
  ]
}
