import FileFormats
import RouterTraining
import RoutingReports

extension ComparisonReport {
  static let schema = "routegrad.comparison/1"

  /// Everything, for programs.
  var json: String {
    JSONWriter.indented([
      "schema": .string(Self.schema), "version": .string(routeGradVersion), "model": .string(comparison.settings.id),
      "settings": comparison.settings.json, "plan": plan, "baseline": .string(comparison.baseline),
      "routers": .array(comparison.entries.map(json)), "reading": .array(reading.map { .string($0) }),
      "notes": .array(notes.map { .string($0) }),
    ])
  }

  /// The plan without the learning rate, which is each router's own.
  private var plan: JSONValue {
    guard case .object(let members) = comparison.plan.json else { return .null }
    return .object(members.filter { $0.key != "learningRate" })
  }

  private func json(_ entry: Comparison.Entry) -> JSONValue {
    let members = Self.json(entry)
    // Where all have the same, the settings say them.
    guard comparison.hasOwnWeights, case .object(var fields) = members else { return members }
    let place = (fields.firstIndex { $0.key == "learningRate" } ?? 0) + 1
    fields.insert(.init(key: "weights", value: entry.weights.json), at: place)
    return .object(fields)
  }

  private static func json(_ entry: Comparison.Entry) -> JSONValue {
    [
      "router": .string(entry.label), "specification": .string(entry.router.specification),
      "learningRate": JSONValue(entry.learningRate),
      "seeds": .array(entry.runs.map { .string("\($0.manifest.seed)") }),
      "finalLoss": JSONValue(entry.geometricMeanLoss), "finalLosses": JSONValue(entry.finalLosses),
      "diverged": JSONValue(entry.diverged),
      "difference": entry.difference.map {
        ["mean": JSONValue($0.mean), "interval": json($0.interval), "p": JSONValue($0.p), "pairs": JSONValue($0.count)]
      } ?? .null,
      "speedUp": entry.speedUp.map {
        [
          "mean": JSONValue($0.value), "interval": json($0.interval), "values": JSONValue(entry.speedUps.map(\.value)),
        ]
      } ?? .null,
      "wins": entry.wins.of > 0 ? JSONValue(entry.wins.count) : .null,
      "audit": entry.audit?.json ?? entry.networkAudit?.json ?? .null,
      "curve": curve(entry),
    ]
  }

  private static func curve(_ entry: Comparison.Entry) -> JSONValue {
    guard let curve = entry.meanCurve else { return .null }
    return [
      "steps": JSONValue(curve.map(\.step)), "loss": JSONValue(curve.map(\.loss)),
      "low": JSONValue(curve.map(\.low)), "high": JSONValue(curve.map(\.high)),
    ]
  }

  private static func json(_ interval: ClosedRange<Double>?) -> JSONValue {
    JSONValue(interval.map { [$0.lowerBound, $0.upperBound] })
  }

  /// The scalars, one row for each router: first its own, then the task's, the plan's and, of networks, the audits', in columns named by their
  /// path in JSON.
  var csv: String {
    let header = [
      "router", "learning_rate", "runs", "diverged", "final_loss", "difference", "difference_low", "difference_high",
      "p",
      "speed_up", "speed_up_low", "speed_up_high", "wins", "pairs", "cosine", "relative_bias",
      "relative_standard_deviation", "target_norm", "specification", "model", "baseline",
    ]
    let weights = comparison.hasOwnWeights
    let task = comparison.settings.json.scalars("settings") + plan.scalars("plan")
    let layers = comparison.entries.map { $0.networkAudit?.figures ?? [] }
    var layerColumns: [String] = []
    for figure in layers.joined() where !layerColumns.contains(figure.name) { layerColumns.append(figure.name) }
    let rows = zip(comparison.entries, layers).map { entry, layers -> [String?] in
      let (difference, speedUp) = (entry.difference, entry.speedUp)
      let figures: [Double?] = [
        entry.geometricMeanLoss, difference?.mean, difference?.interval?.lowerBound, difference?.interval?.upperBound,
        difference?.p, speedUp?.value, speedUp?.interval?.lowerBound, speedUp?.interval?.upperBound,
      ]
      let wins: [String?] = entry.wins.of > 0 ? ["\(entry.wins.count)", "\(entry.wins.of)"] : [nil, nil]
      let audit = [entry.audit?.cosine, entry.audit?.relativeBias, entry.audit?.relativeDeviation]
      return [entry.label, CSV.number(entry.learningRate), "\(entry.runs.count)", "\(entry.diverged)"]
        + figures.map(CSV.number) + wins + audit.map(CSV.number)
        + [
          CSV.number(entry.audit?.targetNorm), entry.router.specification, comparison.settings.id, comparison.baseline,
        ]
        + task.map(\.value) + layerColumns.map { name in layers.first { $0.name == name }?.value }
        + (weights ? [CSV.number(entry.weights.loadBalance), CSV.number(entry.weights.zLoss)] : [])
    }
    let columns = header + task.map(\.name) + layerColumns
    return CSV(header: columns + (weights ? ["weights.loadBalance", "weights.zLoss"] : []), rows: rows).text
  }
}

extension NetworkAudit {
  /// The numbers of every layer, named by the layer and their fields in JSON: `blocks.1.logits.relativeBias`.
  fileprivate var figures: [(name: String, value: String?)] {
    guard case .object(let members) = json, let list = members.first(where: { $0.key == "layers" })?.value,
      case .array(let values) = list
    else { return [] }
    return [("audit_target", Self.target)]
      + zip(layers, values).flatMap { $1.scalars($0.name).filter { !$0.name.hasSuffix(".name") } }
  }
}

extension JSONValue {
  /// What is no list, as cells, named by its path from `name` on.
  fileprivate func scalars(_ name: String) -> [(name: String, value: String?)] {
    switch self {
    case .object(let members): members.flatMap { $0.value.scalars("\(name).\($0.key)") }
    case .number(let x): [(name, CSV.number(x))]
    case .string(let text): [(name, text)]
    case .bool(let flag): [(name, "\(flag)")]
    case .null: [(name, nil)]
    case .numbers, .array: []
    }
  }
}
