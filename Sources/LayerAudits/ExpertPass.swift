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
    var gradients = passes.map { $0.sent == nil ? nil : ExpertGradient(context.shape) }
    for tile in AuditContext.tiles(context.tokens, of: 256) {
      let hidden = Hidden(context.layer, expert: i, tokens: tile)
      for (p, pass) in passes.enumerated() { pass.add(i, tile, hidden, to: &gradients[p]) }
    }
    return passes.indices.map { p in
      let reference = passes[p].reference.flatMap { gradients[$0] }
      guard let own = gradients[p] else {
        var nothing = GroupSums()
        nothing.hasTarget = reference != nil
        return nothing
      }
      own.tell(passes[p].writer, expert: i, tokens: context.tokens)
      return own.sums(against: reference)
    }
  }

  private func add(_ i: Int, _ tile: Range<Int>, _ hidden: Hidden, to gradient: inout ExpertGradient?) {
    let (d, h) = (context.shape.inputs, context.shape.hidden)
    guard let v = sent?.rows(expert: i, tile) else { return }
    let units = BackwardUnits(
      pulled: pulledBack(v, context.layer.parameters.experts, expert: i), hidden, hidden: h
    ) { $0 }
    gradient?.add(
      v: v, back: units, units: hidden.values,
      x: .memory(context.layer.input.elements + tile.lowerBound * d, stride: d), count: tile.count)
  }
}
