import LayerTensors
import MixtureOfExperts
import RoutingCore

/// `logits = h Eᵀ`, E the table of the embedding, and the cross-entropy of the targets with smoothed labels.
final class OutputHead<Scalar: TransformerScalar> {
  /// Logits, and then their gradient, `[rows, vocabulary]`.
  let logits: Tensor<Scalar>
  /// The gradient of h.
  let gradient: Tensor<Scalar>
  /// Of each row: the loss, and −log p of the target; after ``lossesToGo(_:)`` what is left to come.
  let losses, likelihoods: UnsafeMutablePointer<Double>
  private let smoothing: Double

  init(vocabulary: Int, width: Int, rows: Int, smoothing: Double) {
    self.smoothing = smoothing
    logits = Tensor(rows: rows, columns: vocabulary)
    gradient = Tensor(rows: rows, columns: width)
    losses = .allocate(capacity: max(rows, 1))
    likelihoods = .allocate(capacity: max(rows, 1))
    losses.initialize(repeating: 0, count: max(rows, 1))
    likelihoods.initialize(repeating: 0, count: max(rows, 1))
  }

  deinit {
    losses.deallocate()
    likelihoods.deallocate()
  }

  /// The sums over all rows of loss and −log p of the targets; with gradients, those of h, and those of E, overwritten, of
  /// `factor` times the sum of the losses.
  func run(
    _ h: Tensor<Scalar>, targets: UnsafePointer<Int32>, embedding: Embedding<Scalar>, factor: Double,
    isTraining: Bool, _ pass: BlockPass<Scalar>
  ) -> (loss: Double, likelihood: Double) {
    let (v, d) = (logits.columns, h.columns)
    let table = embedding.table.elements
    concurrently(pass.plan.groups.count, threads: pass.threads) { k in
      let rows = pass.plan.groups[k].rows
      let (first, count) = (rows.lowerBound, rows.count)
      let z = logits.elements + first * v
      Scalar.multiply(
        MatrixView(h.elements + first * d, stride: d), MatrixView(table, stride: d, transposed: true), rows: count,
        columns: v, depth: d, alpha: 1, beta: 0, into: z, stride: v)
      Scalar.crossEntropy(
        z, rows: count, classes: v, labels: targets + first, smoothing: Scalar(smoothing), factor: Scalar(factor),
        losses: losses + first, likelihoods: likelihoods + first)
      guard isTraining else { return }
      Scalar.multiply(
        MatrixView(z, stride: v), MatrixView(table, stride: d), rows: count, columns: d, depth: v, alpha: 1, beta: 0,
        into: gradient.elements + first * d, stride: d)
    }
    var sum = (loss: 0.0, likelihood: 0.0)
    for t in 0..<pass.plan.rows {
      sum.loss += losses[t]
      sum.likelihood += likelihoods[t]
    }
    guard isTraining, pass.audit == nil else { return sum }
    let tile = WeightGradient<Scalar>.tile
    concurrently((v + tile - 1) / tile, threads: pass.threads) { k in
      let (first, count) = (k * tile, min(tile, v - k * tile))
      Scalar.multiply(
        MatrixView(logits.elements + first, stride: v, transposed: true), MatrixView(h.elements, stride: d),
        rows: count, columns: d, depth: pass.plan.rows, alpha: 1, beta: 0,
        into: embedding.tableGradient.elements + first * d, stride: d)
    }
    return sum
  }

  /// Makes `losses[t]` factor times the sum of the losses from t to the end of its sequence: all that the routing of
  /// token t has a part in, where attention is causal.
  func lossesToGo(_ plan: SequencePlan, factor: Double) {
    for s in 0..<plan.count {
      var sum = 0.0
      for t in plan.range(s).reversed() {
        sum += factor * losses[t]
        losses[t] = sum
      }
    }
  }
}
