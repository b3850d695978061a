import LayerTensors
import RoutingCore
import RoutingExpectations

/// A layer with what every part of an audit needs of it: logits, and every expert's output for every token.
struct AuditContext: Sendable {
  let layer: DumpedLayer
  let space: SamplingSpace
  let threads: Int
  /// f_i(x_t), `[experts · tokens, outputs]`, expert by expert.
  let outputs: Tensor<Double>
  /// θ, `[tokens, experts]`.
  let logits: Tensor<Double>
  /// `‖x_t‖²`.
  let inputSquares: [Double]

  var tokens: Int { layer.tokens }
  var shape: LayerShape { layer.shape }

  init(_ layer: DumpedLayer, space: SamplingSpace, threads: Int) {
    self.layer = layer
    self.space = space
    self.threads = threads
    let (shape, t) = (layer.shape, layer.tokens)
    let (n, d, e) = (shape.experts, shape.inputs, shape.outputs)
    let outputs = Tensor<Double>(rows: n * t, columns: e)
    let tiles = Self.tiles(t, of: 128)
    _ = parallelMap(0..<n * tiles.count, threads: threads) { task in
      let (i, tile) = (task / tiles.count, tiles[task % tiles.count])
      let hidden = Hidden(layer, expert: i, tokens: tile)
      let rows = outputs.elements + (i * t + tile.lowerBound) * e
      MatrixFactor.multiply(
        .rows(hidden.values, stride: shape.hidden),
        .memory(layer.parameters.weights2.elements + i * e * shape.hidden, stride: shape.hidden, transposed: true),
        rows: tile.count, columns: e, depth: shape.hidden, into: rows)
      if let bias = layer.parameters.biases2 {
        Double.addRow(bias.elements + i * e, to: rows, rows: tile.count, columns: e)
      }
    }
    let logits = Tensor<Double>(rows: t, columns: n)
    MatrixFactor.multiply(
      .memory(layer.input.elements, stride: d),
      .memory(layer.parameters.router.elements, stride: d, transposed: true),
      rows: t, columns: n, depth: d, into: logits.elements)
    if let bias = layer.parameters.routerBias {
      Double.addRow(bias.elements, to: logits.elements, rows: t, columns: n)
    }
    self.outputs = outputs
    self.logits = logits
    inputSquares = (0..<t).map { token in
      Double.dot(layer.input.elements + token * d, layer.input.elements + token * d, scale: nil, count: d)
    }
  }

  /// Consecutive ranges of nearly equal length, at most `size`.
  static func tiles(_ count: Int, of size: Int) -> [Range<Int>] {
    let parts = (count + size - 1) / size
    return (0..<parts).map { $0 * count / parts..<($0 + 1) * count / parts }
  }

  /// A token's problem: its logits, the experts' outputs, its loss.
  func problem(_ token: Int) throws(InvalidInput) -> RoutedProblem {
    let (n, e, t) = (shape.experts, shape.outputs, tokens)
    let rows = (0..<n).map { i in
      Array(UnsafeBufferPointer(start: outputs.elements + (i * t + token) * e, count: e))
    }
    return try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: Array(UnsafeBufferPointer(start: logits.elements + token * n, count: n)), expertOutputs: rows,
          scale: layer.parameters.scale?.values, loss: TokenLoss(layer, token: token))),
      space: space)
  }
}

/// An expert's hidden units for some tokens: activations and their slopes, `[tokens, hidden]`.
struct Hidden {
  var values: [Double]
  var slopes: [Double]

  init(_ layer: DumpedLayer, expert i: Int, tokens range: Range<Int>) {
    let (d, h, parameters) = (layer.shape.inputs, layer.shape.hidden, layer.parameters)
    values = [Double](repeating: 0, count: range.count * h)
    slopes = [Double](repeating: 0, count: range.count * h)
    MatrixFactor.multiply(
      .memory(layer.input.elements + range.lowerBound * d, stride: d),
      .memory(parameters.weights1.elements + i * h * d, stride: d, transposed: true),
      rows: range.count, columns: h, depth: d, into: &values)
    Double.activate(
      &values, rows: range.count, columns: h, bias: parameters.biases1.map { UnsafePointer($0.elements + i * h) },
      activation: layer.shape.activation, slope: &slopes)
    if layer.shape.activation == .relu {
      for k in values.indices { slopes[k] = values[k] > 0 ? 1 : 0 }
    }
  }
}
