import LayerTensors

/// Experts' hidden units for some tokens: `h = act(z₁) u(z₃)` with `z₁ = W₁ x + b₁` and, of gated experts, `z₃ = W₃ x + b₃`.
struct Hidden: Sendable {
  /// h, `[tokens, hidden]`.
  private(set) var values: [Double]
  /// ∂h/∂z₁, `[tokens, hidden]`.
  private(set) var slopes: [Double]
  /// ∂h/∂z₃, likewise; empty where experts are not gated.
  private(set) var upSlopes: [Double] = []

  /// The units of a routed expert for consecutive tokens.
  init(_ layer: DumpedLayer, expert i: Int, tokens range: Range<Int>) {
    self.init(
      layer.parameters.experts, layer.shape.activation, expert: i,
      inputs: .memory(layer.input.elements + range.lowerBound * layer.shape.inputs, stride: layer.shape.inputs),
      count: range.count)
  }

  /// The units of an expert for `count` inputs, `[count, inputs]`.
  init(
    _ weights: ExpertWeights<Double>, _ activation: Activation, expert i: Int, inputs: MatrixFactor, count: Int
  ) {
    let (d, h) = (weights.inputs, weights.hidden)
    func product(_ w: Tensor<Double>) -> [Double] {
      [Double](unsafeUninitializedCapacity: count * h) { z, length in
        length = count * h
        guard let z = z.baseAddress else { return }
        MatrixFactor.multiply(
          inputs, .memory(w.elements + i * h * d, stride: d, transposed: true), rows: count, columns: h, depth: d,
          into: z)
      }
    }
    func bias(_ b: Tensor<Double>?) -> UnsafePointer<Double>? { b.map { UnsafePointer($0.elements + i * h) } }
    values = product(weights.weights1)
    slopes = [Double](repeating: 0, count: count * h)
    Double.activate(
      &values, rows: count, columns: h, bias: bias(weights.biases1), activation: activation, slope: &slopes)
    if let weights3 = weights.weights3 {
      upSlopes = product(weights3)
      Double.gate(
        &values, slope: &slopes, up: &upSlopes, rows: count, columns: h, bias: bias(weights.biases3),
        activation: activation)
    } else if activation == .relu {
      // ReLU's slope is not written: it can be read off the value.
      for k in values.indices { slopes[k] = values[k] > 0 ? 1 : 0 }
    }
  }

  /// `W₂ h + b₂`, `[tokens, outputs]`.
  func outputs(_ weights: ExpertWeights<Double>, expert i: Int, count: Int) -> [Double] {
    let (h, e) = (weights.hidden, weights.outputs)
    var rows = [Double](repeating: 0, count: count * e)
    MatrixFactor.multiply(
      .rows(values, stride: h), .memory(weights.weights2.elements + i * e * h, stride: h, transposed: true),
      rows: count, columns: e, depth: h, into: &rows)
    if let bias = weights.biases2 { Double.addRow(bias.elements + i * e, to: &rows, rows: count, columns: e) }
    return rows
  }
}

/// What becomes of gradients at an expert's outputs on their way back to its linear maps and its input.
struct BackwardUnits: Sendable {
  /// The gradients at z₁ and, of gated experts, at z₃ behind them, `[rows, width]`.
  private(set) var values: [Double]
  /// h, or twice that of gated experts.
  let width: Int
  private let hidden: Int

  /// The way back of some rows.
  ///
  /// - Parameters:
  ///   - pulled: `W₂ᵀ v`, `[rows, hidden]`; its memory is used again where there is one linear map.
  ///   - units: the expert's, of some tokens.
  ///   - place: of each row, the place of its token among those.
  init(pulled: consuming [Double], _ units: Hidden, hidden h: Int, place: (Int) -> Int) {
    hidden = h
    let rows = pulled.count / h
    func multiply(
      _ from: UnsafePointer<Double>, by slopes: [Double], to: UnsafeMutablePointer<Double>, stride: Int
    ) {
      slopes.withUnsafeBufferPointer { slopes in
        guard let slopes = slopes.baseAddress else { return }
        for r in 0..<rows {
          let (to, from, slope) = (to + r * stride, from + r * h, slopes + place(r) * h)
          for k in 0..<h { to[k] = from[k] * slope[k] }
        }
      }
    }
    guard !units.upSlopes.isEmpty else {
      width = h
      pulled.withUnsafeMutableBufferPointer { rows in
        if let rows = rows.baseAddress { multiply(rows, by: units.slopes, to: rows, stride: h) }
      }
      values = pulled
      return
    }
    width = 2 * h
    values = [Double](unsafeUninitializedCapacity: rows * 2 * h) { values, count in
      count = rows * 2 * h
      pulled.withUnsafeBufferPointer { pulled in
        guard let values = values.baseAddress, let pulled = pulled.baseAddress else { return }
        multiply(pulled, by: units.slopes, to: values, stride: 2 * h)
        multiply(pulled, by: units.upSlopes, to: values + h, stride: 2 * h)
      }
    }
  }

  /// `W₁ᵀ u₁ + W₃ᵀ u₃` of an expert, `[rows, inputs]`.
  func inputs(_ weights: ExpertWeights<Double>, expert i: Int) -> [Double] {
    let (d, rows) = (weights.inputs, values.count / width)
    return [Double](unsafeUninitializedCapacity: rows * d) { inputs, count in
      count = rows * d
      guard let inputs = inputs.baseAddress else { return }
      setInputs(weights, expert: i, adding: false, to: inputs)
    }
  }

  /// Adds them to what is there, or puts them there.
  func setInputs(
    _ weights: ExpertWeights<Double>, expert i: Int, adding: Bool, to inputs: UnsafeMutablePointer<Double>
  ) {
    let (d, h) = (weights.inputs, hidden)
    for (place, matrix) in [weights.weights1, weights.weights3].enumerated() {
      guard let matrix else { continue }
      MatrixFactor.multiply(
        .rows(values, stride: width, from: place * h), .memory(matrix.elements + i * h * d, stride: d),
        rows: values.count / width, columns: d, depth: h, beta: adding || place > 0 ? 1 : 0, into: inputs)
    }
  }
}

/// `W₂ᵀ v` of an expert, `[rows, hidden]`, for rows v, `[rows, outputs]`.
func pulledBack(_ v: [Double], _ weights: ExpertWeights<Double>, expert i: Int) -> [Double] {
  let (h, e) = (weights.hidden, weights.outputs)
  let rows = v.count / e
  return [Double](unsafeUninitializedCapacity: rows * h) { pulled, count in
    count = rows * h
    guard let pulled = pulled.baseAddress else { return }
    MatrixFactor.multiply(
      .rows(v, stride: e), .memory(weights.weights2.elements + i * e * h, stride: h), rows: rows, columns: h,
      depth: e, into: pulled)
  }
}
