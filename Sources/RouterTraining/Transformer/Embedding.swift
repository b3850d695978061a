import CStandardLibrary
import LayerTensors
import MixtureOfExperts
import RoutingCore

/// `x = dropout(scale·E[token] + P[position])`: a table of tokens, which the output layer shares, and positions, learned or
/// sinusoidal.
final class Embedding<Scalar: TransformerScalar> {
  /// E, `[vocabulary, width]`.
  let table, tableGradient: Tensor<Scalar>
  /// P, `[length, width]`.
  let positions: Tensor<Scalar>
  /// Nil for sinusoidal positions.
  let positionGradient: Tensor<Scalar>?
  let scale: Scalar
  private let width: Int

  init(vocabulary: Int, width: Int, length: Int, hasLearnedPositions: Bool, scale: Double = 1) {
    self.width = width
    self.scale = Scalar(scale)
    table = Tensor(rows: vocabulary, columns: width)
    tableGradient = Tensor(rows: vocabulary, columns: width)
    positions = Tensor(rows: length, columns: width)
    positionGradient = hasLearnedPositions ? Tensor(rows: length, columns: width) : nil
    if !hasLearnedPositions { setSinusoids() }
  }

  /// `P[t, 2i] = sin(t/10000^{2i/width})`, `P[t, 2i+1]` the cosine (arXiv 1706.03762).
  private func setSinusoids() {
    for t in 0..<positions.rows {
      for j in 0..<width {
        let angle = Double(t) / pow(10000, Double(j & ~1) / Double(width))
        positions[t, j] = Scalar(j.isMultiple(of: 2) ? sin(angle) : cos(angle))
      }
    }
  }

  /// Tokens, and positions that are learned, from N(0, σ²).
  func initialise(_ random: inout Philox, deviation: Double) {
    table.fill(random.normals(table.count, deviation: deviation))
    if positionGradient != nil { positions.fill(random.normals(positions.count, deviation: deviation)) }
  }

  func parameters(_ prefix: String = "") -> [ModelParameter<Scalar>] {
    var list = [ModelParameter(name: "\(prefix)tokens", value: table, gradient: tableGradient)]
    if let positionGradient {
      list.append(ModelParameter(name: "\(prefix)positions", value: positions, gradient: positionGradient))
    }
    return list
  }

  func forward(
    _ tokens: UnsafePointer<Int32>, _ pass: BlockPass<Scalar>, dropout: Dropout<Scalar>, to x: Tensor<Scalar>
  ) {
    concurrently(pass.plan.groups.count, threads: pass.threads) { k in
      let group = pass.plan.groups[k]
      for s in group.sequences {
        let range = pass.plan.range(s)
        for t in range {
          let out = x.elements + t * width
          let from = table.elements + Int(tokens[t]) * width
          Scalar.setScaled(from, factor: scale, scale: nil, to: out, count: width)
          let position = positions.elements + (t - range.lowerBound) * width
          Scalar.addScaled(position, factor: 1, scale: nil, to: out, count: width)
        }
      }
      let mask = dropout.draw(k, group.rows, pass.randomness)
      let rows = x.elements + group.rows.lowerBound * width
      if mask != nil { Scalar.multiply(rows, mask: mask, count: group.rows.count * width, to: rows) }
    }
  }

  /// Adds to the tokens' gradient, and to that of learned positions, what `dx` gives, which is masked in place.
  func addBackward(
    _ dx: Tensor<Scalar>, _ tokens: UnsafePointer<Int32>, _ pass: BlockPass<Scalar>, dropout: Dropout<Scalar>
  ) {
    let plan = pass.plan
    concurrently(plan.groups.count, threads: pass.threads) { k in
      let group = plan.groups[k]
      let rows = dx.elements + group.rows.lowerBound * width
      let mask = dropout.drawn(group.rows, isTraining: pass.randomness != nil)
      if mask != nil { Scalar.multiply(rows, mask: mask, count: group.rows.count * width, to: rows) }
    }
    for s in 0..<plan.count {
      let range = plan.range(s)
      for t in range {
        let row = dx.elements + t * width
        let place = tableGradient.elements + Int(tokens[t]) * width
        Scalar.addScaled(row, factor: scale, scale: nil, to: place, count: width)
        if let positionGradient {
          let place = positionGradient.elements + (t - range.lowerBound) * width
          Scalar.addScaled(row, factor: 1, scale: nil, to: place, count: width)
        }
      }
    }
  }
}
