import LayerTensors
import MixtureOfExperts
import RoutingCore

extension TransformerBlock {
  /// Makes `g`, the gradient of the residual stream after the block, the gradient of the stream before it; writes the
  /// gradients of the parameters.
  ///
  /// - Parameters:
  ///   - x: the stream before the block.
  ///   - losses: of each token what depends on its routing, for routers that ask for it.
  func backward(
    _ g: UnsafeMutablePointer<Scalar>, x: UnsafePointer<Scalar>, losses: UnsafePointer<Double>?,
    _ pass: BlockPass<Scalar>
  ) {
    let (d, groups) = (shape.width, pass.plan.groups)
    let isTraining = pass.randomness != nil
    concurrently(groups.count, threads: pass.threads) { k in
      let rows = groups[k].rows
      let place = rows.lowerBound * d
      Scalar.multiply(
        g + place, mask: feedForwardDropout.drawn(rows, isTraining: isTraining), count: rows.count * d,
        to: room.feedForwardAdded.elements + place)
      guard case .dense(let up, let down) = parameters.feedForward, let hidden else { return }
      let dz = room.hidden.elements + rows.lowerBound * shape.hidden
      down.inputGradient(room.feedForwardAdded.elements + place, rows: rows.count, to: dz)
      Scalar.activateBackward(
        dz, count: rows.count * shape.hidden, value: hidden.elements + rows.lowerBound * shape.hidden, slope: nil,
        activation: .relu)
      up.inputGradient(dz, rows: rows.count, to: room.normed.elements + place)
      attentionBackward(g, x: x, k, pass)
    }
    var list: [(gradient: WeightGradient<Scalar>, rows: Int)] = []
    let rows = pass.plan.rows
    if let experts, case .experts(let layer) = parameters.feedForward,
      case .experts(let gradient) = gradients.feedForward
    {
      experts.layer.backward(
        room.feedForwardAdded.elements, losses: losses, input: norm2.output.elements, parameters: layer,
        workspace: experts.workspace, gradients: gradient, inputGradient: room.normed.elements, threads: pass.threads)
      pass.audit?.watch(
        RouterVisit(
          index: experts.index, layer: experts.layer, workspace: experts.workspace, parameters: layer,
          input: norm2.output.elements, upstream: room.feedForwardAdded.elements, losses: losses))
      concurrently(groups.count, threads: pass.threads) { k in attentionBackward(g, x: x, k, pass) }
    } else if case .dense(let up, let down) = gradients.feedForward, let hidden {
      list.append((WeightGradient(dy: room.hidden.elements, x: norm2.output.elements, gradient: up), rows))
      list.append((WeightGradient(dy: room.feedForwardAdded.elements, x: hidden.elements, gradient: down), rows))
    }
    guard pass.audit == nil else { return }
    list.append(
      (WeightGradient(dy: room.projection.elements, x: norm1.output.elements, gradient: gradients.projection), rows))
    list.append((WeightGradient(dy: room.added.elements, x: attended.elements, gradient: gradients.output), rows))
    if let cross = gradients.cross, let crossNorm, let crossAttended, let memory = pass.memory {
      list.append((WeightGradient(dy: room.query.elements, x: crossNorm.output.elements, gradient: cross.query), rows))
      let memoryRows = groups.last?.memoryRows.upperBound ?? 0
      list.append((WeightGradient(dy: room.keyValue.elements, x: memory, gradient: cross.keyValue), memoryRows))
      list.append(
        (WeightGradient(dy: room.crossAdded.elements, x: crossAttended.elements, gradient: cross.output), rows))
      room.crossSums.finish(groups.count, to: cross.norm)
    }
    WeightGradient.run(list, threads: pass.threads)
    room.sums1.finish(groups.count, to: gradients.norm1)
    room.sums2.finish(groups.count, to: gradients.norm2)
  }

  /// From the gradient of the second LayerNorm's output, which stands in the room, to that of the stream before the block.
  private func attentionBackward(
    _ g: UnsafeMutablePointer<Scalar>, x: UnsafePointer<Scalar>, _ k: Int, _ pass: BlockPass<Scalar>
  ) {
    let group = pass.plan.groups[k]
    let (d, rows) = (shape.width, group.rows)
    let place = rows.lowerBound * d
    let isTraining = pass.randomness != nil
    norm2.backward(room.normed.elements, x: beforeFeedForward.elements, rows, group: k, sums: room.sums2, addTo: g)
    if let cross = parameters.cross { memoryBackward(cross, g, k, group, pass) }
    Scalar.multiply(
      g + place, mask: dropout.drawn(rows, isTraining: isTraining), count: rows.count * d,
      to: room.added.elements + place)
    parameters.output.inputGradient(room.added.elements + place, rows: rows.count, to: room.attended.elements + place)
    for s in group.sequences {
      let range = pass.plan.range(s)
      let (q, dq) = (self.rows(of: projection, range.lowerBound), self.rows(of: room.projection, range.lowerBound))
      attention.backward(
        self.rows(of: room.attended, range.lowerBound), q, q.column(d), q.column(2 * d), queryCount: range.count,
        keyCount: range.count, weights: weights.elements + pass.plan.ownPlaces[s] * shape.heads,
        scratch: room.scores(k), dq: dq, dk: dq.column(d), dv: dq.column(2 * d))
    }
    parameters.projection.inputGradient(
      room.projection.elements + 3 * place, rows: rows.count, to: room.normed.elements + place)
    norm1.backward(room.normed.elements, x: x, rows, group: k, sums: room.sums1, addTo: g)
  }

  private func memoryBackward(
    _ cross: BlockParameters<Scalar>.Cross, _ g: UnsafeMutablePointer<Scalar>, _ k: Int, _ group: SequencePlan.Group,
    _ pass: BlockPass<Scalar>
  ) {
    guard let crossNorm, let query, let keyValue, let crossWeights, let memoryGradient = pass.memoryGradient
    else { preconditionFailure("a block that looks at a memory is given room for its gradient") }
    let (d, rows) = (shape.width, group.rows)
    let place = rows.lowerBound * d
    Scalar.multiply(
      g + place, mask: crossDropout.drawn(rows, isTraining: pass.randomness != nil), count: rows.count * d,
      to: room.crossAdded.elements + place)
    cross.output.inputGradient(room.crossAdded.elements + place, rows: rows.count, to: room.attended.elements + place)
    for s in group.sequences {
      let (range, seen) = (pass.plan.range(s), pass.plan.memory[s])
      let (keys, dk) = (self.rows(of: keyValue, seen.lowerBound), self.rows(of: room.keyValue, seen.lowerBound))
      crossAttention.backward(
        self.rows(of: room.attended, range.lowerBound), self.rows(of: query, range.lowerBound), keys, keys.column(d),
        queryCount: range.count, keyCount: seen.count,
        weights: crossWeights.elements + pass.plan.memoryPlaces[s] * shape.heads, scratch: room.scores(k),
        dq: self.rows(of: room.query, range.lowerBound), dk: dk, dv: dk.column(d))
    }
    cross.query.inputGradient(room.query.elements + place, rows: rows.count, to: room.normed.elements + place)
    crossNorm.backward(
      room.normed.elements, x: middle.elements, rows, group: k, sums: room.crossSums, addTo: g)
    let first = group.memoryRows.lowerBound
    Scalar.multiply(
      MatrixView(room.keyValue.elements + first * 2 * d, stride: 2 * d),
      MatrixView(cross.keyValue.weights.elements, stride: d), rows: group.memoryRows.count, columns: d, depth: 2 * d,
      alpha: 1, beta: 1, into: memoryGradient + first * d, stride: d)
  }
}
