import CStandardLibrary
import LayerTensors
import RoutingCore

/// One token's loss as a function of the scaled mixture `z = ω ⊙ Σ m f`; the residual is part of it.
struct TokenLoss: Objective {
  let layer: DumpedLayer
  let token: Int
  /// What z is added to before the loss proper: x, less the target if there is one.
  let offset: [Double]

  init(_ layer: DumpedLayer, token: Int) {
    self.layer = layer
    self.token = token
    let e = layer.shape.outputs
    var offset = [Double](repeating: 0, count: e)
    if layer.residual { for j in 0..<e { offset[j] = layer.input[token, j] } }
    if case .squaredError(let targets) = layer.loss { for j in 0..<e { offset[j] -= targets[token, j] } }
    self.offset = offset
  }

  /// Whether the gradient is `z + offset`.
  var isQuadratic: Bool { if case .squaredError = layer.loss { true } else { false } }

  var dimension: Int { layer.shape.outputs }

  func value(at point: [Double]) -> Double { evaluate(point, count: 1).values[0] }

  func gradient(at point: [Double]) -> [Double] { evaluate(point, count: 1).gradients }

  /// Values and gradients at several points, `[count, outputs]`.
  func evaluate(_ points: [Double], count: Int) -> (values: [Double], gradients: [Double]) {
    let e = dimension
    var shifted = points
    for p in 0..<count { for j in 0..<e { shifted[p * e + j] += offset[j] } }
    switch layer.loss {
    case .squaredError:
      let values = (0..<count).map { p in
        var sum = 0.0
        for j in 0..<e { sum += shifted[p * e + j] * shifted[p * e + j] }
        return 0.5 * sum
      }
      return (values, shifted)
    case .crossEntropy(let unembedding, let labels):
      return crossEntropy(shifted, count: count, unembedding: unembedding, label: labels[token])
    }
  }

  private func crossEntropy(
    _ points: [Double], count: Int, unembedding: Tensor<Double>, label: Int
  ) -> (values: [Double], gradients: [Double]) {
    let (e, classes) = (dimension, unembedding.rows)
    var scores = [Double](repeating: 0, count: count * classes)
    var gradients = [Double](repeating: 0, count: count * e)
    MatrixFactor.multiply(
      .rows(points, stride: e), .memory(unembedding.elements, stride: e, transposed: true), rows: count,
      columns: classes, depth: e, into: &scores)
    var values = [Double](repeating: 0, count: count)
    for p in 0..<count {
      let row = p * classes..<(p + 1) * classes
      var largest = -Double.infinity
      for c in row { largest = max(largest, scores[c]) }
      let own = scores[p * classes + label]
      var (total, others) = (0.0, 0.0)
      for c in row {
        scores[c] = exp(scores[c] - largest)
        total += scores[c]
        if c != p * classes + label { others += scores[c] }
      }
      // Where the label leads, the value is that of the others' odds and nothing cancels.
      values[p] = own == largest ? log1p(others) : largest - own + log(total)
      for c in row { scores[c] /= total }
      scores[p * classes + label] = -others / total
    }
    MatrixFactor.multiply(
      .rows(scores, stride: classes), .memory(unembedding.elements, stride: e), rows: count, columns: e,
      depth: classes, into: &gradients)
    return (values, gradients)
  }

  /// All rays of a token at once, so that the products with the unembedding are matrices.
  func rays(
    directions: Span<Double>, multipliers: Span<Double>, nodes: Span<Double>, values: inout MutableSpan<Double>,
    slopes: inout MutableSpan<Double>
  ) {
    let (e, n) = (dimension, multipliers.count)
    var points = [Double](repeating: 0, count: (1 + nodes.count) * n * e)
    for k in 0...nodes.count {
      let node = k == 0 ? 1 : nodes[k - 1]
      for i in 0..<n {
        let position = node * multipliers[i]
        for j in 0..<e { points[(k * n + i) * e + j] = position * directions[i * e + j] }
      }
    }
    let (found, gradients) = evaluate(points, count: (1 + nodes.count) * n)
    for i in 0..<n { values[i] = found[i] }
    for k in nodes.indices {
      for i in 0..<n {
        var sum = 0.0
        for j in 0..<e { sum += gradients[((k + 1) * n + i) * e + j] * directions[i * e + j] }
        slopes[k * n + i] = sum
      }
    }
  }
}
