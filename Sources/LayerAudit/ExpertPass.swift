import LayerTensors
import RoutingCore
import RoutingExpectations

/// The means of the gradients by the experts' weights under one law: `Σ_t v_t ⊗ a_t` and `Σ_t u_t ⊗ x_t`.
struct ExpertPass: Sendable {
  let context: AuditContext
  /// The mean of v, `[experts · tokens, outputs]`.
  let sent: Tensor<Double>
  /// What to compare with, times T.
  let reference: LayerParameters<Double>?
  /// Where the means are kept, times T.
  let kept: LayerParameters<Double>?
  /// Who is told the means, divided by T.
  let writer: MeanWriter?

  /// Squared norms over all experts, times T², of passes side by side.
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

  private static func expert(_ i: Int, _ passes: [ExpertPass], _ context: AuditContext) -> [GroupSums] {
    var gradients = passes.map { _ in Gradient(context.shape) }
    for tile in AuditContext.tiles(context.tokens, of: 256) {
      let hidden = Hidden(context.layer, expert: i, tokens: tile)
      for (p, pass) in passes.enumerated() { pass.add(i, tile, hidden, to: &gradients[p]) }
    }
    return zip(passes, gradients).map { pass, gradient in
      var sums = GroupSums()
      sums.hasTarget = pass.reference != nil
      pass.collect("experts.w1", gradient.weights1, \.weights1, i, &sums)
      pass.collect("experts.b1", gradient.biases1, \.biases1, i, &sums)
      pass.collect("experts.w2", gradient.weights2, \.weights2, i, &sums)
      pass.collect("experts.b2", gradient.biases2, \.biases2, i, &sums)
      return sums
    }
  }

  private func add(_ i: Int, _ tile: Range<Int>, _ hidden: Hidden, to gradient: inout Gradient) {
    let (d, h, e) = (context.shape.inputs, context.shape.hidden, context.shape.outputs)
    let v = sent.elements + (i * context.tokens + tile.lowerBound) * e
    var units = [Double](repeating: 0, count: tile.count * h)
    MatrixFactor.multiply(
      .memory(v, stride: e), .memory(context.layer.parameters.weights2.elements + i * e * h, stride: h),
      rows: tile.count, columns: h, depth: e, into: &units)
    Double.activateBackward(
      &units, count: units.count, value: hidden.slopes, slope: hidden.slopes, activation: .silu)
    MatrixFactor.multiply(
      .memory(v, stride: e, transposed: true), .rows(hidden.values, stride: h),
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
    _ name: String, _ values: [Double], _ tensor: KeyPath<LayerParameters<Double>, Tensor<Double>>, _ i: Int,
    _ sums: inout GroupSums
  ) {
    collect(name, values, kept?[keyPath: tensor], reference?[keyPath: tensor], i, &sums)
  }

  private func collect(
    _ name: String, _ values: [Double], _ tensor: KeyPath<LayerParameters<Double>, Tensor<Double>?>, _ i: Int,
    _ sums: inout GroupSums
  ) {
    guard !values.isEmpty else { return }
    collect(name, values, kept?[keyPath: tensor], reference?[keyPath: tensor], i, &sums)
  }

  private func collect(
    _ name: String, _ values: [Double], _ kept: Tensor<Double>?, _ reference: Tensor<Double>?, _ i: Int,
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
