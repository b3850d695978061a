import CStandardLibrary
import LayerTensors
import RoutingCore

// Shared experts: every token has all of them, `Σ_j σ(w_j·x) s_j(x)`, whatever its router does.

extension MixtureLayer {
  /// The rows of shared expert j, one for each token that there is room for.
  private func rows(_ j: Int, _ range: Range<Int>, _ workspace: LayerWorkspace<Scalar>) -> Range<Int> {
    let first = j * workspace.maximumTokens
    return first + range.lowerBound..<first + range.upperBound
  }

  /// Runs the shared experts on some tokens and adds them to the outputs.
  func addShared(
    _ input: UnsafePointer<Scalar>, _ range: Range<Int>, _ parameters: LayerParameters<Scalar>,
    _ workspace: LayerWorkspace<Scalar>
  ) {
    guard let weights = parameters.shared, let buffers = workspace.shared else { return }
    let (d, e) = (shape.inputs, shape.outputs)
    for j in 0..<weights.count {
      let rows = rows(j, range, workspace)
      buffers.input.row(rows.lowerBound).update(from: input + range.lowerBound * d, count: range.count * d)
      buffers.forward(expert: j, rows, weights)
      for (t, row) in zip(range, rows) {
        if let gate = parameters.sharedGate {
          workspace.sharedGates[row] =
            1 / (1 + exp(-Double(Scalar.dot(gate.row(j), input + t * d, scale: nil, count: d))))
        }
        for c in 0..<workspace.candidates {
          Scalar.addScaled(
            buffers.output.row(row), factor: Scalar(workspace.sharedGates[row]), scale: nil,
            to: workspace.output.row(t * workspace.candidates + c), count: e)
        }
      }
    }
  }

  /// The gradients by the shared experts' weights, and what comes to the inputs through them, in the buffers.
  func differentiateShared(
    _ outputGradient: UnsafePointer<Scalar>, _ parameters: LayerParameters<Scalar>,
    _ workspace: LayerWorkspace<Scalar>, _ gradients: LayerParameters<Scalar>, threads: Int
  ) {
    guard let weights = parameters.shared, let own = gradients.shared, let buffers = workspace.shared else { return }
    let (n, d, e) = (shape.experts, shape.inputs, shape.outputs)
    let tiles = Parts(workspace.tokens, of: tokenTile)
    concurrently(weights.count * tiles.parts, threads: threads) { task in
      let (j, tile) = task.quotientAndRemainder(dividingBy: tiles.parts)
      let range = tiles.range(tile)
      let rows = rows(j, range, workspace)
      withUnsafeTemporaryAllocation(of: Scalar.self, capacity: e) { upstream in
        guard let upstream = upstream.baseAddress else { return }
        for (t, row) in zip(range, rows) {
          upstream.initialize(repeating: 0, count: e)
          for c in 0..<workspace.candidates {
            let weight = workspace.candidates == 1 ? 1 : workspace.probabilities[t * n + c]
            Scalar.addScaled(
              outputGradient + (t * workspace.candidates + c) * e, factor: Scalar(weight), scale: nil, to: upstream,
              count: e)
          }
          let gate = workspace.sharedGates[row]
          if parameters.sharedGate != nil {
            let slope = Double(Scalar.dot(upstream, buffers.output.row(row), scale: nil, count: e))
            workspace.sharedSlopes[row] = slope * gate * (1 - gate)
          }
          Scalar.setScaled(upstream, factor: Scalar(gate), scale: nil, to: buffers.output.row(row), count: e)
        }
      }
      buffers.backward(expert: j, rows, weights)
    }
    let units = Parts(weights.hidden, of: hiddenTile)
    concurrently(weights.count * units.parts, threads: threads) { task in
      let (j, tile) = task.quotientAndRemainder(dividingBy: units.parts)
      buffers.differentiateWeights(
        expert: j, rows(j, 0..<workspace.tokens, workspace), units: units.range(tile), own)
    }
    guard let gates = gradients.sharedGate else { return }
    gates.clear()
    for j in 0..<weights.count {
      for row in rows(j, 0..<workspace.tokens, workspace) {
        Scalar.addScaled(
          buffers.input.row(row), factor: Scalar(workspace.sharedSlopes[row]), scale: nil, to: gates.row(j), count: d)
      }
    }
  }

  /// Adds what comes to a token's input through the shared experts.
  func addSharedGradient(
    _ t: Int, _ parameters: LayerParameters<Scalar>, _ workspace: LayerWorkspace<Scalar>,
    to dx: UnsafeMutablePointer<Scalar>
  ) {
    guard let buffers = workspace.shared else { return }
    for j in 0..<(shape.shared?.count ?? 0) {
      let row = j * workspace.maximumTokens + t
      Scalar.addScaled(buffers.inputGradient.row(row), factor: 1, scale: nil, to: dx, count: shape.inputs)
      guard let gate = parameters.sharedGate else { continue }
      Scalar.addScaled(
        gate.row(j), factor: Scalar(workspace.sharedSlopes[row]), scale: nil, to: dx, count: shape.inputs)
    }
  }
}
