import LayerTensors
import RoutingCore
import RoutingExpectations

/// The means of the gradients by the experts' weights under one law, which are compared expert by expert and forgotten.
struct ExpertPass: Sendable {
  let context: AuditContext
  /// The mean of v; nil where there is nothing to find.
  let sent: SentVectors?
  /// The pass of the same run whose means these are compared with.
  let reference: Int?
  /// Who is told the means, divided by T.
  let writer: MeanWriter?

  init(context: AuditContext, sent: [SentVectors.Part]?, reference: Int? = nil, writer: MeanWriter? = nil) {
    self.context = context
    self.sent = sent.map { SentVectors($0, outputs: context.shape.outputs) }
    self.reference = reference
    self.writer = writer
  }

  /// Runs passes side by side, so that the experts' hidden units are computed once for all of them.
  ///
  /// - Returns: squared norms over all experts, times T².
  static func run(_ passes: [ExpertPass], _ context: AuditContext, onExpert: @Sendable () -> Void) -> [GroupSums] {
    let parts = parallelMap(0..<context.shape.experts, threads: context.threads) { i in
      defer { onExpert() }
      return expert(i, passes, context)
    }
    return passes.indices.map { p in
      var sums = GroupSums()
      for part in parts { sums.add(part[p]) }
      return sums
    }
  }

  private static func expert(_ i: Int, _ passes: [ExpertPass], _ context: AuditContext) -> [GroupSums] {
    var gradients = ExpertGradients(context.shape, laws: passes.count)
    let references = passes.map { pass in pass.reference.flatMap { passes[$0].sent == nil ? nil : $0 } }
    let tiles = AuditContext.tiles(context.tokens, of: 256)
    for (place, tile) in tiles.enumerated() {
      let hidden = Hidden(context.layer, expert: i, tokens: tile)
      let rows = passes.map { $0.rows(i, tile, hidden) }
      if place < tiles.count - 1 {
        gradients.add(rows)
        continue
      }
      let sums = gradients.sums(
        adding: rows, against: references, passes.map { $0.sent == nil ? nil : $0.writer }, expert: i,
        tokens: context.tokens)
      return passes.indices.map { p in
        guard passes[p].sent == nil else { return sums[p] }
        var nothing = GroupSums()
        nothing.hasTarget = references[p] != nil
        return nothing
      }
    }
    return []
  }

  private func rows(_ i: Int, _ tile: Range<Int>, _ hidden: Hidden) -> GradientRows? {
    let (d, h) = (context.shape.inputs, context.shape.hidden)
    guard let v = sent?.rows(expert: i, tile) else { return nil }
    let units = BackwardUnits(
      pulled: pulledBack(v, context.layer.parameters.experts, expert: i), hidden, hidden: h
    ) { $0 }
    return GradientRows(
      v: v, back: units, units: hidden.values,
      x: .memory(context.layer.input.elements + tile.lowerBound * d, stride: d), count: tile.count)
  }
}
