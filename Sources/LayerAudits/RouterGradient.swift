import LayerTensors
import RoutingCore

/// The gradient by a router's weights and biases from that of the tokens' logits: `Σ_t ĝ_t ⊗ x_t` and `Σ_t ĝ_t`.
struct RouterGradient {
  /// `[experts, inputs]`.
  private(set) var weight: [Double]
  /// `[experts]`.
  private(set) var bias: [Double]

  /// - Parameter logits: ĝ, `[tokens, experts]`.
  init(_ logits: [Double], _ layer: DumpedLayer) {
    let (n, d) = (layer.shape.experts, layer.shape.inputs)
    weight = [Double](repeating: 0, count: n * d)
    bias = [Double](repeating: 0, count: n)
    MatrixFactor.multiply(
      .rows(logits, stride: n, transposed: true), .memory(layer.input.elements, stride: d),
      rows: n, columns: d, depth: layer.tokens, into: &weight)
    Double.columnSums(logits, rows: layer.tokens, columns: n, stride: n, into: &bias)
  }

  /// A gradient against another, by group.
  static func sums(
    _ logits: [Double], against other: [Double]?, _ layer: DumpedLayer
  ) -> [(ParameterGroup, GroupSums)] {
    let own = RouterGradient(logits, layer)
    let other = other.map { RouterGradient($0, layer) }
    var weight = GroupSums()
    weight.add(own.weight, other?.weight[...])
    guard layer.shape.routerBias else { return [(.routerWeight, weight)] }
    var bias = GroupSums()
    bias.add(own.bias, other?.bias[...])
    return [(.routerWeight, weight), (.routerBias, bias)]
  }

  /// Tells the means of everything but the experts, divided by the number of tokens.
  static func tell(
    _ onMean: MeanWriter?, _ label: String, logits: [Double], scale: [Double], input: [Double], _ layer: DumpedLayer
  ) {
    guard let onMean else { return }
    func tell(_ name: String, _ values: [Double]) {
      values.map { $0 / Double(layer.tokens) }.withUnsafeBufferPointer { onMean("\(label)/\(name)", 0, $0) }
    }
    let router = RouterGradient(logits, layer)
    tell("router.weight", router.weight)
    if layer.shape.routerBias { tell("router.bias", router.bias) }
    if layer.shape.scale { tell("scale", scale) }
    tell("input", input)
  }
}
