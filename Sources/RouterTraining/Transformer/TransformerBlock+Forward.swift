import LayerTensors
import MixtureOfExperts
import RoutingCore

extension TransformerBlock {
  /// Leaves the residual stream after the block in `output`.
  ///
  /// - Returns: the sum of the auxiliary losses of its Switch layer.
  func forward(_ x: UnsafePointer<Scalar>, _ pass: BlockPass<Scalar>) throws(Refusal) -> Double {
    concurrently(pass.plan.groups.count, threads: pass.threads) { k in
      let group = pass.plan.groups[k]
      attend(x, k, group, pass)
      if let cross = parameters.cross { attendToMemory(cross, k, group, pass) }
      let d = shape.width
      let first = group.rows.lowerBound
      let stream = beforeFeedForward.elements
      norm2.forward(stream, group.rows)
      if case .dense(let up, let down) = parameters.feedForward, let hidden {
        let (z, y) = (hidden.elements + first * shape.hidden, output.elements + first * d)
        up.product(norm2.output.elements + first * d, rows: group.rows.count, to: z)
        Scalar.activate(
          z, rows: group.rows.count, columns: shape.hidden, bias: up.biases.elements, activation: .relu, slope: nil)
        down.product(z, rows: group.rows.count, to: y)
        Scalar.addResidual(
          stream + first * d, bias: down.biases.elements,
          mask: feedForwardDropout.draw(k, group.rows, pass.randomness), rows: group.rows.count, columns: d, to: y)
      }
    }
    guard let experts, case .experts(let parameters) = parameters.feedForward else { return 0 }
    let randomness = pass.randomness.map {
      LayerRandomness(
        seed: $0.seed,
        stream: RandomStream.routing(
          step: $0.step, layer: experts.index, layers: pass.switchLayers, tokens: room.limits.rows))
    }
    let losses = try experts.layer.forward(
      norm2.output.elements, tokens: pass.plan.rows, parameters: parameters, workspace: experts.workspace,
      randomness: randomness, threads: pass.threads)
    concurrently(pass.plan.groups.count, threads: pass.threads) { k in
      let rows = pass.plan.groups[k].rows
      let place = rows.lowerBound * shape.width
      let y = output.elements + place
      y.update(from: experts.workspace.output.elements + place, count: rows.count * shape.width)
      Scalar.addResidual(
        beforeFeedForward.elements + place, bias: nil, mask: feedForwardDropout.draw(k, rows, pass.randomness),
        rows: rows.count, columns: shape.width, to: y)
    }
    return losses.sum
  }

  private func attend(
    _ x: UnsafePointer<Scalar>, _ k: Int, _ group: SequencePlan.Group, _ pass: BlockPass<Scalar>
  ) {
    let (d, first, count) = (shape.width, group.rows.lowerBound, group.rows.count)
    norm1.forward(x, group.rows)
    let qkv = projection.elements + first * 3 * d
    parameters.projection.forward(norm1.output.elements + first * d, rows: count, to: qkv)
    for s in group.sequences {
      let range = pass.plan.range(s)
      let rows = rows(of: projection, range.lowerBound)
      attention.forward(
        rows, rows.column(d), rows.column(2 * d), queryCount: range.count, keyCount: range.count,
        weights: weights.elements + pass.plan.ownPlaces[s] * shape.heads,
        to: self.rows(of: attended, range.lowerBound))
    }
    let y = middle.elements + first * d
    parameters.output.product(attended.elements + first * d, rows: count, to: y)
    Scalar.addResidual(
      x + first * d, bias: parameters.output.biases.elements, mask: dropout.draw(k, group.rows, pass.randomness),
      rows: count, columns: d, to: y)
  }

  private func attendToMemory(
    _ cross: BlockParameters<Scalar>.Cross, _ k: Int, _ group: SequencePlan.Group, _ pass: BlockPass<Scalar>
  ) {
    guard let norm = crossNorm, let query, let keyValue, let crossWeights, let crossAttended, let crossMiddle,
      let memory = pass.memory
    else { preconditionFailure("a block that looks at a memory is given one") }
    let (d, first, count) = (shape.width, group.rows.lowerBound, group.rows.count)
    norm.forward(middle.elements, group.rows)
    cross.query.forward(norm.output.elements + first * d, rows: count, to: query.elements + first * d)
    let firstOfMemory = group.memoryRows.lowerBound
    cross.keyValue.forward(
      memory + firstOfMemory * d, rows: group.memoryRows.count, to: keyValue.elements + firstOfMemory * 2 * d)
    for s in group.sequences {
      let (range, seen) = (pass.plan.range(s), pass.plan.memory[s])
      let keys = rows(of: keyValue, seen.lowerBound)
      crossAttention.forward(
        rows(of: query, range.lowerBound), keys, keys.column(d), queryCount: range.count, keyCount: seen.count,
        weights: crossWeights.elements + pass.plan.memoryPlaces[s] * shape.heads,
        to: rows(of: crossAttended, range.lowerBound))
    }
    let y = crossMiddle.elements + first * d
    cross.output.product(crossAttended.elements + first * d, rows: count, to: y)
    Scalar.addResidual(
      middle.elements + first * d, bias: cross.output.biases.elements,
      mask: crossDropout.draw(k, group.rows, pass.randomness), rows: count, columns: d, to: y)
  }

  /// A tensor from some row on.
  func rows(of tensor: Tensor<Scalar>, _ row: Int) -> Attention<Scalar>.Rows {
    Attention<Scalar>.Rows(elements: tensor.elements + row * tensor.columns, stride: tensor.columns)
  }
}

extension LinearMap {
  /// `W x`, without the bias.
  func product(_ x: UnsafePointer<Scalar>, rows: Int, to y: UnsafeMutablePointer<Scalar>) {
    Scalar.multiply(
      MatrixView(x, stride: inputs), MatrixView(weights.elements, stride: inputs, transposed: true), rows: rows,
      columns: outputs, depth: inputs, alpha: 1, beta: 0, into: y, stride: outputs)
  }
}
