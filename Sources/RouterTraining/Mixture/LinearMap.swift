import LayerTensors
import MixtureOfExperts
import RoutingCore

/// `y = W x + b` over rows, and its way back.
struct LinearMap<Scalar: LayerScalar> {
  /// W, `[outputs, inputs]`.
  let weights: Tensor<Scalar>
  /// b, `[1, outputs]`.
  let biases: Tensor<Scalar>

  var inputs: Int { weights.columns }
  var outputs: Int { weights.rows }

  init(inputs: Int, outputs: Int) {
    weights = Tensor(rows: outputs, columns: inputs)
    biases = Tensor(rows: 1, columns: outputs)
  }

  /// Weights and biases from U(−1/√inputs, 1/√inputs).
  func initialise(_ random: inout Philox) {
    let bound = 1 / Double(inputs).squareRoot()
    weights.fill(random.uniforms(weights.count, bound: bound))
    biases.fill(random.uniforms(biases.count, bound: bound))
  }

  func forward(_ x: UnsafePointer<Scalar>, rows: Int, to y: UnsafeMutablePointer<Scalar>) {
    Scalar.multiply(
      MatrixView(x, stride: inputs), MatrixView(weights.elements, stride: inputs, transposed: true), rows: rows,
      columns: outputs, depth: inputs, alpha: 1, beta: 0, into: y, stride: outputs)
    Scalar.addRow(biases.elements, to: y, rows: rows, columns: outputs)
  }

  /// - Parameters:
  ///   - dy: `∂L/∂y`, `[rows, outputs]`.
  ///   - gradient: room for the gradients of W and b.
  ///   - dx: room for `∂L/∂x`, or nil.
  func backward(
    _ dy: UnsafePointer<Scalar>, x: UnsafePointer<Scalar>, rows: Int, gradient: LinearMap,
    dx: UnsafeMutablePointer<Scalar>?
  ) {
    Scalar.multiply(
      MatrixView(dy, stride: outputs, transposed: true), MatrixView(x, stride: inputs), rows: outputs, columns: inputs,
      depth: rows, alpha: 1, beta: 0, into: gradient.weights.elements, stride: inputs)
    Scalar.columnSums(dy, rows: rows, columns: outputs, stride: outputs, into: gradient.biases.elements)
    if let dx { inputGradient(dy, rows: rows, to: dx) }
  }

  func inputGradient(_ dy: UnsafePointer<Scalar>, rows: Int, to dx: UnsafeMutablePointer<Scalar>) {
    Scalar.multiply(
      MatrixView(dy, stride: outputs), MatrixView(weights.elements, stride: inputs), rows: rows, columns: inputs,
      depth: outputs, alpha: 1, beta: 0, into: dx, stride: inputs)
  }
}

extension Tensor {
  /// Takes the numbers given, row by row.
  func fill(_ numbers: [Double]) {
    precondition(numbers.count == count, "\(numbers.count) numbers are not \(rows)×\(columns)")
    for i in 0..<count { elements[i] = Scalar(numbers[i]) }
  }
}

/// `(x − mean)/√(variance + 1e-5)` of every row, without learned scale or shift.
enum LayerNorm<Scalar: LayerScalar> {
  /// What PyTorch adds to the variance.
  static var epsilon: Scalar { 1e-5 }

  /// - Parameter inverses: room for `1/√(variance + ε)` of each row.
  static func forward(
    _ x: UnsafePointer<Scalar>, rows: Int, width: Int, to y: UnsafeMutablePointer<Scalar>,
    inverses: UnsafeMutablePointer<Scalar>
  ) {
    for t in 0..<rows {
      let (row, out) = (x + t * width, y + t * width)
      var mean: Scalar = 0
      for j in 0..<width { mean += row[j] }
      mean /= Scalar(width)
      var variance: Scalar = 0
      for j in 0..<width { variance += (row[j] - mean) * (row[j] - mean) }
      let inverse = 1 / (variance / Scalar(width) + epsilon).squareRoot()
      inverses[t] = inverse
      for j in 0..<width { out[j] = (row[j] - mean) * inverse }
    }
  }

  /// Adds to `dx` what `dy` gives: `inverse (dy − mean dy − y mean(dy y))`.
  static func addBackward(
    _ dy: UnsafePointer<Scalar>, y: UnsafePointer<Scalar>, inverses: UnsafePointer<Scalar>, rows: Int, width: Int,
    to dx: UnsafeMutablePointer<Scalar>
  ) {
    for t in 0..<rows {
      let (gradient, value, out) = (dy + t * width, y + t * width, dx + t * width)
      var mean: Scalar = 0
      var product: Scalar = 0
      for j in 0..<width {
        mean += gradient[j]
        product += gradient[j] * value[j]
      }
      mean /= Scalar(width)
      product /= Scalar(width)
      for j in 0..<width { out[j] += inverses[t] * (gradient[j] - mean - value[j] * product) }
    }
  }
}
