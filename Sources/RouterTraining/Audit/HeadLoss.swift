import CStandardLibrary
import RoutingCore

/// One token's loss as a function of the layer's output y, `[width]`: LayerNorm (in classification) and linear map of `u + y`, and
/// the squared error or cross-entropy; ``Head`` in Double for one token.
struct HeadLoss: Objective {
  let kind: MixtureTask.Kind
  /// u, `[width]`.
  let residual: [Double]
  /// The head, `[outputs][width]` and `[outputs]`.
  let weights: Matrix
  let biases: [Double]
  /// The targets of a regression.
  let targets: [Double]
  /// The label of a classification.
  let label: Int

  var dimension: Int { residual.count }

  func value(at y: [Double]) -> Double {
    let o = outputs(of: normalised(y).z)
    switch kind {
    case .regression:
      return zip(o, targets).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(o.count)
    case .classification:
      let top = o.reduce(-.infinity, max)
      return top + log(o.reduce(0) { $0 + exp($1 - top) }) - o[label]
    }
  }

  func gradient(at y: [Double]) -> [Double] {
    let (z, inverse) = normalised(y)
    var slope = outputs(of: z)
    switch kind {
    case .regression:
      for j in slope.indices { slope[j] = 2 * (slope[j] - targets[j]) / Double(slope.count) }
    case .classification:
      let top = slope.reduce(-.infinity, max)
      let exponentials = slope.map { exp($0 - top) }
      let total = exponentials.reduce(0, +)
      for j in slope.indices { slope[j] = exponentials[j] / total - (j == label ? 1 : 0) }
    }
    var gradient = [Double](repeating: 0, count: dimension)
    for j in slope.indices {
      for (k, weight) in weights.row(j).enumerated() { gradient[k] += slope[j] * weight }
    }
    guard kind == .classification else { return gradient }
    let n = Double(dimension)
    let mean = gradient.reduce(0, +) / n
    let product = zip(gradient, z).reduce(0) { $0 + $1.0 * $1.1 } / n
    return zip(gradient, z).map { inverse * ($0 - mean - $1 * product) }
  }

  /// What the linear map sees, and `1/√(variance + ε)` where that is normalised.
  private func normalised(_ y: [Double]) -> (z: [Double], inverse: Double) {
    let v = zip(residual, y).map { $0 + $1 }
    guard kind == .classification else { return (v, 1) }
    let n = Double(v.count)
    let mean = v.reduce(0, +) / n
    let variance = v.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
    let inverse = 1 / (variance + LayerNorm<Double>.epsilon).squareRoot()
    return (v.map { ($0 - mean) * inverse }, inverse)
  }

  private func outputs(of z: [Double]) -> [Double] {
    biases.indices.map { j in
      zip(weights.row(j), z).reduce(biases[j]) { $0 + $1.0 * $1.1 }
    }
  }
}

/// `Σ_k w_k G(s_k y)`.
struct CombinedLoss<Base: Objective>: Objective {
  let base: Base
  let terms: [(weight: Double, scale: Double)]

  var dimension: Int { base.dimension }

  func value(at y: [Double]) -> Double {
    terms.reduce(0) { sum, term in sum + term.weight * base.value(at: y.map { term.scale * $0 }) }
  }

  func gradient(at y: [Double]) -> [Double] {
    var gradient = [Double](repeating: 0, count: dimension)
    for term in terms {
      for (j, slope) in base.gradient(at: y.map { term.scale * $0 }).enumerated() {
        gradient[j] += term.weight * term.scale * slope
      }
    }
    return gradient
  }
}
