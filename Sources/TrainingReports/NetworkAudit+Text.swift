import RouterTraining
import RoutingCore
import RoutingReports

extension NetworkAudit {
  /// What the last audit of a run found, for people, within the width of tables.
  package func text(step: Int, style: TextStyle = .plain) -> String {
    var sections = [
      TextSection(
        title: "The router's gradient in training against dense back-propagation", facts: "step \(step)",
        table: Self.table([("", self)]))
    ]
    if let table = Self.contrastTable([("", self)]) {
      sections.append(
        TextSection(title: "Some tokens against the exact gradient of their expected loss", table: table))
    }
    return sections.map { $0.text(style: style) }.joined()
  }

  /// A row for every layer of every audit; audits are named unless there is one without a name.
  static func table(_ audits: [(name: String, audit: NetworkAudit)]) -> TextTable {
    var table = TextTable(
      columns: nameColumns(audits) + [
        .init(title: "N"), .init(title: "bias"), .init(title: "cosine"), .init(title: "unseen"),
        .init(title: "W bias"), .init(title: "W cosine"), .init(title: "load"),
      ])
    // Beside names there is no room.
    if !isNamed(audits) { table.columns.append(.init(title: "unused")) }
    for (name, audit) in audits {
      for layer in audit.layers {
        table.rows.append(
          .init(
            cells: nameCells(audits, name, layer) + [
              "\(layer.experts)", percent(layer.logits.relativeBias), cosine(layer.logits.cosine),
              percent(layer.logits.unseen), percent(layer.weight.relativeBias), cosine(layer.weight.cosine),
              layer.largestLoad.map { Figures.fixed($0, decimals: 2) } ?? Figures.undefined,
            ] + (isNamed(audits) ? [] : ["\(layer.unused)"])))
      }
    }
    return table
  }

  /// The tokens whose experts were tried; nil if there are none.
  static func contrastTable(_ audits: [(name: String, audit: NetworkAudit)]) -> TextTable? {
    var table = TextTable(
      columns: nameColumns(audits) + [
        .init(title: "tokens"), .init(title: "bias"), .init(title: "sd"), .init(title: "cosine"),
        .init(title: "dense\nbias"), .init(title: "dense\ncosine"),
      ])
    for (name, audit) in audits {
      for layer in audit.layers {
        guard let contrast = layer.contrast else { continue }
        table.rows.append(
          .init(
            cells: nameCells(audits, name, layer) + [
              "\(contrast.tokens)", percent(contrast.relativeBias), percent(contrast.relativeDeviation),
              cosine(contrast.cosine), percent(contrast.denseRelativeBias), cosine(contrast.denseCosine),
            ]))
      }
    }
    return table.rows.isEmpty ? nil : table
  }

  /// The bias of every layer's router in every audit, at the logits and at the router's weight.
  static func heatMaps(_ audits: [(name: String, audit: NetworkAudit)]) -> [HeatMap] {
    var layers: [String] = []
    for layer in audits.flatMap(\.audit.layers) where !layers.contains(layer.name) { layers.append(layer.name) }
    let gradients: [(words: String, gradient: (Layer) -> Gradient)] = [
      ("at the logits", { $0.logits }), ("at the router's weight", { $0.weight }),
    ]
    return gradients.map { words, gradient in
      HeatMap(
        title: "Relative bias of the router's gradient \(words)", corner: "layer", rows: layers,
        columns: audits.map(\.name),
        values: layers.map { name in
          audits.map { audit in audit.audit.layers.first { $0.name == name }.flatMap { gradient($0).relativeBias } }
        })
    }
  }

  private static func nameColumns(_ audits: [(name: String, audit: NetworkAudit)]) -> [TextTable.Column] {
    let layer = TextTable.Column(title: "layer", isText: true)
    return isNamed(audits) ? [.init(title: "router's gradient", isText: true), layer] : [layer]
  }

  private static func nameCells(
    _ audits: [(name: String, audit: NetworkAudit)], _ name: String, _ layer: Layer
  ) -> [String] { isNamed(audits) ? [name, layer.name] : [layer.name] }

  private static func isNamed(_ audits: [(name: String, audit: NetworkAudit)]) -> Bool {
    audits.contains { !$0.name.isEmpty }
  }

  /// `73.3%`.
  private static func percent(_ x: Double?) -> String {
    x.map { Figures.fixed(100 * ($0 < Figures.rounding ? 0 : $0), decimals: 1) + "%" } ?? Figures.undefined
  }

  private static func cosine(_ x: Double?) -> String {
    x.map { Figures.fixed($0, decimals: 3) } ?? Figures.undefined
  }
}
