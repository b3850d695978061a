import CStandardLibrary
import LayerTensors
import MixtureOfExperts

/// What follows the layer: a linear map of v, or of LayerNorm(v), and the loss.
struct Head<Scalar: LayerScalar> {
  let kind: MixtureTask.Kind
  let map: LinearMap<Scalar>
  let width: Int

  func forward(
    _ v: UnsafePointer<Scalar>, rows: Int, z: UnsafeMutablePointer<Scalar>, inverses: UnsafeMutablePointer<Scalar>,
    to output: UnsafeMutablePointer<Scalar>
  ) {
    guard kind == .classification else { return map.forward(v, rows: rows, to: output) }
    LayerNorm.forward(v, rows: rows, width: width, to: z, inverses: inverses)
    map.forward(z, rows: rows, to: output)
  }

  /// Every row's loss times `scale`, and its gradient by the outputs.
  ///
  /// - Parameters:
  ///   - rows: the rows; `per` of them, one after the other, belong to a token of the batch.
  ///   - scale: 1/tokens.
  /// - Returns: the sum.
  func losses(
    _ output: UnsafePointer<Scalar>, _ batch: MixtureTask.Batch, rows: Range<Int>, per: Int, scale: Double,
    losses: UnsafeMutablePointer<Double>, gradient: UnsafeMutablePointer<Scalar>
  ) -> Double {
    let k = MixtureTask.outputs
    var sum = 0.0
    for row in rows {
      let token = row / per
      let (o, g) = (output + row * k, gradient + row * k)
      var loss = 0.0
      switch kind {
      case .regression:
        for j in 0..<k {
          let difference = Double(o[j]) - batch.targets[token * k + j]
          loss += difference * difference / Double(k)
          g[j] = Scalar(2 * scale * difference / Double(k))
        }
      case .classification:
        var top = Double(o[0])
        for j in 1..<k { top = max(top, Double(o[j])) }
        var total = 0.0
        for j in 0..<k { total += exp(Double(o[j]) - top) }
        let label = batch.labels[token]
        loss = top + log(total) - Double(o[label])
        for j in 0..<k {
          g[j] = Scalar(scale * (exp(Double(o[j]) - top) / total - (j == label ? 1 : 0)))
        }
      }
      losses[row] = scale * loss
      sum += losses[row]
    }
    return sum
  }

  /// The gradient by v.
  func backward(
    _ outputGradient: UnsafePointer<Scalar>, rows: Int, z: UnsafePointer<Scalar>, inverses: UnsafePointer<Scalar>,
    scratch: UnsafeMutablePointer<Scalar>, to gradient: UnsafeMutablePointer<Scalar>
  ) {
    guard kind == .classification else { return map.inputGradient(outputGradient, rows: rows, to: gradient) }
    map.inputGradient(outputGradient, rows: rows, to: scratch)
    for i in 0..<rows * width { gradient[i] = 0 }
    LayerNorm.addBackward(scratch, y: z, inverses: inverses, rows: rows, width: width, to: gradient)
  }
}

/// The loss as a function of the layer's output, on several candidates for it: `L + y·∂L/∂y`.
final class Downstream<Scalar: LayerScalar> {
  let kind: MixtureTask.Kind
  /// y, `[tokens · per, width]`.
  let candidates: Tensor<Scalar>
  /// The results, `[tokens · per]`, times 1/tokens.
  let contrasts: UnsafeMutablePointer<Double>
  private let v, z, inverses, output, outputGradient, gradient, scratch: Tensor<Scalar>

  init(_ kind: MixtureTask.Kind, width: Int, rows: Int) {
    self.kind = kind
    candidates = Tensor(rows: rows, columns: width)
    contrasts = .allocate(capacity: max(rows, 1))
    contrasts.initialize(repeating: 0, count: max(rows, 1))
    v = Tensor(rows: rows, columns: width)
    z = Tensor(rows: rows, columns: width)
    inverses = Tensor(rows: rows, columns: 1)
    output = Tensor(rows: rows, columns: MixtureTask.outputs)
    outputGradient = Tensor(rows: rows, columns: MixtureTask.outputs)
    gradient = Tensor(rows: rows, columns: width)
    scratch = Tensor(rows: rows, columns: width)
  }

  deinit { contrasts.deallocate() }

  /// - Parameters:
  ///   - u: what the layer's output is added to, `[tokens, width]`.
  ///   - per: the candidates of a token.
  func evaluate(_ u: Tensor<Scalar>, _ batch: MixtureTask.Batch, count: Int, per: Int, head map: LinearMap<Scalar>) {
    let (rows, width) = (count * per, u.columns)
    for row in 0..<rows {
      let (from, y, to) = (u.elements + row / per * width, candidates.elements + row * width, v.elements + row * width)
      for j in 0..<width { to[j] = from[j] + y[j] }
    }
    let head = Head(kind: kind, map: map, width: width)
    head.forward(v.elements, rows: rows, z: z.elements, inverses: inverses.elements, to: output.elements)
    _ = head.losses(
      output.elements, batch, rows: 0..<rows, per: per, scale: 1 / Double(count), losses: contrasts,
      gradient: outputGradient.elements)
    head.backward(
      outputGradient.elements, rows: rows, z: z.elements, inverses: inverses.elements, scratch: scratch.elements,
      to: gradient.elements)
    for row in 0..<rows {
      contrasts[row] += Double(
        Scalar.dot(
          candidates.elements + row * width, gradient.elements + row * width, scale: nil, count: width))
    }
  }
}
