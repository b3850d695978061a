import LayerTensors
import RoutingCore
import RoutingExpectations

/// The means of the gradients by the experts' weights under one law: `Σ_t v_t ⊗ a_t` and `Σ_t u_t ⊗ x_t`.
struct ExpertPass: Sendable {
  let context: AuditContext
  /// The mean of v; nil where there is nothing to find.
  let sent: SentVectors?
  /// What to compare with, times T.
  let reference: LayerParameters<Double>?
  /// Whether the means are asked for.
  let isKept: Bool
  /// Who is told the means, divided by T.
  let writer: MeanWriter?

  init(
    context: AuditContext, sent: [SentVectors.Part]?, reference: LayerParameters<Double>?, isKept: Bool,
    writer: MeanWriter?
  ) {
    self.context = context
    self.sent = sent.map { SentVectors($0, outputs: context.shape.outputs) }
    self.reference = reference
    self.isKept = isKept
    self.writer = writer
  }

  /// What is found over all experts.
  struct Found {
    /// Squared norms, times T².
    var sums = GroupSums()
    /// The means, times T, where they are asked for.
    var kept: LayerParameters<Double>?
  }

  /// Runs passes side by side, so that the experts' hidden units are computed once for all of them.
  static func run(_ passes: [ExpertPass], _ context: AuditContext, onExpert: @Sendable () -> Void) -> [Found] {
    // Every expert writes its own rows.
    let kept = passes.map { $0.isKept && $0.sent != nil ? LayerParameters<Double>(zeros: context.shape) : nil }
    let parts = parallelMap(0..<context.shape.experts, threads: context.threads) { i in
      defer { onExpert() }
      return expert(i, passes, kept, context)
    }
    return passes.indices.map { p in
      var found = Found(kept: kept[p])
      for part in parts { found.sums.add(part[p]) }
      return found
    }
  }

  /// The gradient of one expert.
  private struct Gradient {
    var weights1, weights2, biases1, biases2: [Double]

    init(_ shape: LayerShape) {
      weights1 = [Double](repeating: 0, count: shape.hidden * shape.inputs)
      weights2 = [Double](repeating: 0, count: shape.outputs * shape.hidden)
      biases1 = [Double](repeating: 0, count: shape.hiddenBias ? shape.hidden : 0)
      biases2 = [Double](repeating: 0, count: shape.outputBias ? shape.outputs : 0)
    }
  }

  private static func expert(
    _ i: Int, _ passes: [ExpertPass], _ kept: [LayerParameters<Double>?], _ context: AuditContext
  ) -> [GroupSums] {
    var gradients = passes.map { _ in Gradient(context.shape) }
    for tile in AuditContext.tiles(context.tokens, of: 256) {
      let hidden = Hidden(context.layer, expert: i, tokens: tile)
      for (p, pass) in passes.enumerated() { pass.add(i, tile, hidden, to: &gradients[p]) }
    }
    return passes.indices.map { p in
      var sums = GroupSums()
      sums.hasTarget = passes[p].reference != nil
      func collect(
        _ name: String, _ values: [Double], _ tensor: (LayerParameters<Double>) -> Tensor<Double>?
      ) {
        guard !values.isEmpty, passes[p].sent != nil else { return }
        passes[p].collect(
          name, values, kept: kept[p].flatMap(tensor), reference: passes[p].reference.flatMap(tensor), i, &sums)
      }
      collect("experts.w1", gradients[p].weights1, \.weights1)
      collect("experts.b1", gradients[p].biases1, \.biases1)
      collect("experts.w2", gradients[p].weights2, \.weights2)
      collect("experts.b2", gradients[p].biases2, \.biases2)
      return sums
    }
  }

  private func add(_ i: Int, _ tile: Range<Int>, _ hidden: Hidden, to gradient: inout Gradient) {
    let (d, h, e) = (context.shape.inputs, context.shape.hidden, context.shape.outputs)
    guard let v = sent?.rows(expert: i, tile) else { return }
    var units = [Double](repeating: 0, count: tile.count * h)
    MatrixFactor.multiply(
      .rows(v, stride: e), .memory(context.layer.parameters.weights2.elements + i * e * h, stride: h),
      rows: tile.count, columns: h, depth: e, into: &units)
    multiplyEntries(&units, by: hidden.slopes, count: units.count)
    MatrixFactor.multiply(
      .rows(v, stride: e, transposed: true), .rows(hidden.values, stride: h),
      rows: e, columns: h, depth: tile.count, beta: 1, into: &gradient.weights2)
    MatrixFactor.multiply(
      .rows(units, stride: h, transposed: true),
      .memory(context.layer.input.elements + tile.lowerBound * d, stride: d),
      rows: h, columns: d, depth: tile.count, beta: 1, into: &gradient.weights1)
    for r in 0..<tile.count {
      for j in gradient.biases1.indices { gradient.biases1[j] += units[r * h + j] }
      for j in gradient.biases2.indices { gradient.biases2[j] += v[r * e + j] }
    }
  }

  private func collect(
    _ name: String, _ values: [Double], kept: Tensor<Double>?, reference: Tensor<Double>?, _ i: Int,
    _ sums: inout GroupSums
  ) {
    let first = i * values.count
    values.withUnsafeBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return }
      kept.map { ($0.elements + first).update(from: start, count: values.count) }
      sums.add(start, reference.map { UnsafePointer($0.elements + first) }, count: values.count)
    }
    guard let writer else { return }
    values.map { $0 / Double(context.tokens) }.withUnsafeBufferPointer { writer(name, first, $0) }
  }
}
