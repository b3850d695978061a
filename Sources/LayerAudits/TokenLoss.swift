import CStandardLibrary
import LayerTensors
import RoutingCore

/// The tokens' losses as functions of the scaled mixture `z = ω ⊙ Σ m f`; the residual and the shared experts are part of them.
struct LayerLosses: Sendable {
  let layer: DumpedLayer
  /// What z is added to before the loss proper: x, the shared experts' output, less the target if there is one,
  /// `[tokens, outputs]`.
  private let offsets: [Double]

  /// - Parameter shared: the shared experts' output, `[tokens, outputs]`.
  init(_ layer: DumpedLayer, shared: [Double]?) {
    self.layer = layer
    var offsets = [Double](repeating: 0, count: layer.tokens * layer.shape.outputs)
    if layer.residual { for k in offsets.indices { offsets[k] = layer.input.elements[k] } }
    if let shared { for k in offsets.indices { offsets[k] += shared[k] } }
    if case .squaredError(let targets) = layer.loss {
      for k in offsets.indices { offsets[k] -= targets.elements[k] }
    }
    self.offsets = offsets
  }

  /// What a token's z is added to, `[outputs]`.
  func offset(_ token: Int) -> ArraySlice<Double> {
    offsets[token * layer.shape.outputs..<(token + 1) * layer.shape.outputs]
  }

  /// Values and gradients at several points, `[count, outputs]`, each a token's.
  func evaluate(
    _ points: [Double], count: Int, token: (Int) -> Int
  ) -> (values: [Double], gradients: [Double]) {
    let e = layer.shape.outputs
    var shifted = points
    for p in 0..<count {
      let first = token(p) * e
      for j in 0..<e { shifted[p * e + j] += offsets[first + j] }
    }
    switch layer.loss {
    case .squaredError:
      let values = shifted.withUnsafeBufferPointer { shifted in
        (0..<count).map { p in
          shifted.baseAddress.map { 0.5 * Double.dot($0 + p * e, $0 + p * e, scale: nil, count: e) } ?? 0
        }
      }
      return (values, shifted)
    case .crossEntropy(let unembedding, let labels):
      return crossEntropy(shifted, count: count, unembedding: unembedding) { labels[token($0)] }
    case .upstream(let upstream):
      let values = shifted.withUnsafeBufferPointer { shifted in
        (0..<count).map { p in
          shifted.baseAddress.map { Double.dot($0 + p * e, upstream.row(token(p)), scale: nil, count: e) } ?? 0
        }
      }
      return (values, (0..<count).flatMap { UnsafeBufferPointer(start: upstream.row(token($0)), count: e) })
    }
  }

  private func crossEntropy(
    _ points: [Double], count: Int, unembedding: Tensor<Double>, label: (Int) -> Int
  ) -> (values: [Double], gradients: [Double]) {
    let (e, classes) = (layer.shape.outputs, unembedding.rows)
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
      let place = p * classes + label(p)
      let own = scores[place]
      var (total, others) = (0.0, 0.0)
      for c in row {
        scores[c] = exp(scores[c] - largest)
        total += scores[c]
        if c != place { others += scores[c] }
      }
      // Where the label leads, the value is that of the others' odds and nothing cancels.
      values[p] = own == largest ? log1p(others) : largest - own + log(total)
      for c in row { scores[c] /= total }
      scores[place] = -others / total
    }
    MatrixFactor.multiply(
      .rows(scores, stride: classes), .memory(unembedding.elements, stride: e), rows: count, columns: e,
      depth: classes, into: &gradients)
    return (values, gradients)
  }
}

/// One token's loss.
struct TokenLoss: Objective {
  private let losses: LayerLosses
  let token: Int

  init(_ losses: LayerLosses, token: Int) {
    self.losses = losses
    self.token = token
  }

  /// Of a loss whose gradient is affine, `G'(z) = s z + c`, both of them.
  var affineGradient: (slope: Double, constant: [Double])? {
    losses.layer.loss.slope.map { slope in
      if case .upstream(let upstream) = losses.layer.loss {
        return (slope, Array(UnsafeBufferPointer(start: upstream.row(token), count: upstream.columns)))
      }
      return (slope, Array(losses.offset(token)))
    }
  }

  var dimension: Int { losses.layer.shape.outputs }

  func value(at point: [Double]) -> Double { evaluate(point, count: 1).values[0] }

  func gradient(at point: [Double]) -> [Double] { evaluate(point, count: 1).gradients }

  /// Values and gradients at several points, `[count, outputs]`.
  func evaluate(_ points: [Double], count: Int) -> (values: [Double], gradients: [Double]) {
    losses.evaluate(points, count: count) { _ in token }
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
