import LayerTensors

/// An expert's hidden units for some tokens: activations and their slopes, `[tokens, hidden]`.
struct Hidden: Sendable {
  private(set) var values: [Double]
  private(set) var slopes: [Double]

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
    // ReLU's slope is not written: it can be read off the value.
    if layer.shape.activation == .relu {
      for k in values.indices { slopes[k] = values[k] > 0 ? 1 : 0 }
    }
  }
}
