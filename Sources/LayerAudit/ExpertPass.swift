import MixtureOfExperts
import RoutingExpectations

/// The means of the gradients by the experts' weights, expert by expert: `Σ_t v_t ⊗ a_t` and `Σ_t u_t ⊗ x_t`.
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

  /// Squared norms over all experts, times T².
  func run(onExpert: @Sendable () -> Void) -> GroupSums {
    let parts = parallelMap(0..<context.shape.experts, threads: context.threads) { i in
      defer { onExpert() }
      return expert(i)
    }
    var sums = GroupSums()
    for part in parts { sums.add(part) }
    return sums
  }

  private func expert(_ i: Int) -> GroupSums {
    let (shape, t) = (context.shape, context.tokens)
    let (d, h, e) = (shape.inputs, shape.hidden, shape.outputs)
    let parameters = context.layer.parameters
    var weights1 = [Double](repeating: 0, count: h * d)
    var weights2 = [Double](repeating: 0, count: e * h)
    var biases1 = [Double](repeating: 0, count: shape.hiddenBias ? h : 0)
    var biases2 = [Double](repeating: 0, count: shape.outputBias ? e : 0)
    for tile in AuditContext.tiles(t, of: 256) {
      let hidden = Hidden(context.layer, expert: i, tokens: tile)
      let v = sent.elements + (i * t + tile.lowerBound) * e
      var units = [Double](repeating: 0, count: tile.count * h)
      Double.multiply(
        MatrixView(v, stride: e), MatrixView(parameters.weights2.elements + i * e * h, stride: h),
        rows: tile.count, columns: h, depth: e, alpha: 1, beta: 0, into: &units, stride: h)
      Double.activateBackward(
        &units, count: units.count, value: hidden.slopes, slope: hidden.slopes, activation: .silu)
      Double.multiply(
        MatrixView(v, stride: e, transposed: true), MatrixView(hidden.values, stride: h),
        rows: e, columns: h, depth: tile.count, alpha: 1, beta: 1, into: &weights2, stride: h)
      Double.multiply(
        MatrixView(units, stride: h, transposed: true),
        MatrixView(context.layer.input.elements + tile.lowerBound * d, stride: d),
        rows: h, columns: d, depth: tile.count, alpha: 1, beta: 1, into: &weights1, stride: d)
      for r in 0..<tile.count {
        for j in biases1.indices { biases1[j] += units[r * h + j] }
        for j in biases2.indices { biases2[j] += v[r * e + j] }
      }
    }
    var sums = GroupSums()
    sums.hasTarget = reference != nil
    collect("experts.w1", weights1, \.weights1, i, &sums)
    collect("experts.b1", biases1, \.biases1, i, &sums)
    collect("experts.w2", weights2, \.weights2, i, &sums)
    collect("experts.b2", biases2, \.biases2, i, &sums)
    return sums
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
