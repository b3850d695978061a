import LayerTensors

/// The memory of experts' forward and backward passes over rows of inputs, each row an expert's.
struct ExpertBuffers<Scalar: LayerScalar>: @unchecked Sendable {
  /// By row: inputs, activations, outputs; after the forward pass outputs give way to their gradients.
  let input, hidden, output: Tensor<Scalar>
  /// The hidden units' slopes, unless they are read off ReLU's values; of gated experts also those by the second map.
  let slope, up: Tensor<Scalar>
  /// The gradients behind the hidden units, of both maps, and of the inputs.
  let hiddenGradient, upGradient, inputGradient: Tensor<Scalar>
  private let activation: Activation
  private let isGated: Bool

  /// Room for so many rows.
  init(
    rows: Int, inputs: Int, hidden h: Int, outputs: Int, activation: Activation, isGated: Bool
  ) {
    self.activation = activation
    self.isGated = isGated
    input = Tensor(rows: rows, columns: inputs)
    hidden = Tensor(rows: rows, columns: h)
    slope = Tensor(rows: activation == .relu && !isGated ? 0 : rows, columns: h)
    up = Tensor(rows: isGated ? rows : 0, columns: h)
    output = Tensor(rows: rows, columns: outputs)
    hiddenGradient = Tensor(rows: rows, columns: h)
    upGradient = Tensor(rows: isGated ? rows : 0, columns: h)
    inputGradient = Tensor(rows: rows, columns: inputs)
  }

  /// Runs an expert on some rows.
  func forward(expert: Int, _ rows: Range<Int>, _ weights: ExpertWeights<Scalar>) {
    let (d, h, e, first) = (weights.inputs, weights.hidden, weights.outputs, rows.lowerBound)
    func product(_ w: Tensor<Scalar>, into z: UnsafeMutablePointer<Scalar>) {
      Scalar.multiply(
        MatrixView(input.row(first), stride: d), MatrixView(w.row(expert * h), stride: d, transposed: true),
        rows: rows.count, columns: h, depth: d, alpha: 1, beta: 0, into: z, stride: h)
    }
    let z = hidden.row(first)
    let slopes = slope.rows == 0 ? nil : slope.row(first)
    product(weights.weights1, into: z)
    Scalar.activate(
      z, rows: rows.count, columns: h, bias: weights.biases1.map { UnsafePointer($0.row(expert)) },
      activation: activation, slope: slopes)
    if let weights3 = weights.weights3, let slopes {
      product(weights3, into: up.row(first))
      Scalar.gate(
        z, slope: slopes, up: up.row(first), rows: rows.count, columns: h,
        bias: weights.biases3.map { UnsafePointer($0.row(expert)) }, activation: activation)
    }
    let y = output.row(first)
    Scalar.multiply(
      MatrixView(z, stride: h), MatrixView(weights.weights2.row(expert * e), stride: h, transposed: true),
      rows: rows.count, columns: e, depth: h, alpha: 1, beta: 0, into: y, stride: e)
    if let bias = weights.biases2 { Scalar.addRow(bias.row(expert), to: y, rows: rows.count, columns: e) }
  }

  /// Turns the gradients at some rows' outputs into those behind the hidden units and at the inputs.
  func backward(expert: Int, _ rows: Range<Int>, _ weights: ExpertWeights<Scalar>) {
    let (d, h, e, first) = (weights.inputs, weights.hidden, weights.outputs, rows.lowerBound)
    let count = rows.count * h
    let dh = hiddenGradient.row(first)
    Scalar.multiply(
      MatrixView(output.row(first), stride: e), MatrixView(weights.weights2.row(expert * e), stride: h),
      rows: rows.count, columns: h, depth: e, alpha: 1, beta: 0, into: dh, stride: h)
    if isGated {
      Scalar.setScaled(dh, factor: 1, scale: up.row(first), to: upGradient.row(first), count: count)
      Scalar.setScaled(dh, factor: 1, scale: slope.row(first), to: dh, count: count)
    } else {
      Scalar.activateBackward(
        dh, count: count, value: hidden.row(first), slope: slope.rows == 0 ? nil : UnsafePointer(slope.row(first)),
        activation: activation)
    }
    for (place, matrix) in [weights.weights1, weights.weights3].enumerated() {
      guard let matrix else { continue }
      Scalar.multiply(
        MatrixView(place == 0 ? dh : upGradient.row(first), stride: h), MatrixView(matrix.row(expert * h), stride: d),
        rows: rows.count, columns: d, depth: h, alpha: 1, beta: place == 0 ? 0 : 1, into: inputGradient.row(first),
        stride: d)
    }
  }

  /// The gradients by an expert's weights at some hidden units, from all of its rows; b₂'s with the first units.
  func differentiateWeights(
    expert: Int, _ rows: Range<Int>, units: Range<Int>, _ gradients: ExpertWeights<Scalar>
  ) {
    let (d, h, e) = (gradients.inputs, gradients.hidden, gradients.outputs)
    let (first, count) = (rows.lowerBound, rows.count)
    let maps = [
      (gradients.weights1, gradients.biases1, hiddenGradient), (gradients.weights3, gradients.biases3, upGradient),
    ]
    for (weights, biases, behind) in maps {
      guard let weights else { continue }
      let dz = behind.row(first) + units.lowerBound
      Scalar.multiply(
        MatrixView(dz, stride: h, transposed: true), MatrixView(input.row(first), stride: d), rows: units.count,
        columns: d, depth: count, alpha: 1, beta: 0, into: weights.row(expert * h + units.lowerBound), stride: d)
      if let biases {
        Scalar.columnSums(
          dz, rows: count, columns: units.count, stride: h, into: biases.row(expert) + units.lowerBound)
      }
    }
    Scalar.multiply(
      MatrixView(output.row(first), stride: e, transposed: true),
      MatrixView(hidden.row(first) + units.lowerBound, stride: h), rows: e, columns: units.count, depth: count,
      alpha: 1, beta: 0, into: gradients.weights2.row(expert * e) + units.lowerBound, stride: h)
    if let biases = gradients.biases2, units.lowerBound == 0 {
      Scalar.columnSums(output.row(first), rows: count, columns: e, stride: e, into: biases.row(expert))
    }
  }
}
