import LayerTensors
import RoutingCore

extension MixtureLayer {
  /// The gradients of the loss, auxiliary losses included, after a ``forward(_:tokens:parameters:workspace:randomness:threads:)``
  /// over the same input.
  ///
  /// - Parameters:
  ///   - outputGradient: `∂L/∂y`, `[tokens · candidates, outputs]`; with several candidates (``ExactRouter``) of each one's own loss,
  ///     not yet weighed by its probability.
  ///   - losses: what the router asks for of each token (``TokenRouter/lossCount(experts:)``), mostly its own loss, in the units of its
  ///     gradient; nil stands for zeros.
  ///   - input: x of the forward pass.
  ///   - parameters: those of the forward pass.
  ///   - workspace: as the forward pass left it.
  ///   - gradients: room for the gradients; what stood there is overwritten.
  ///   - inputGradient: room for `∂L/∂x`, `[tokens, inputs]`, overwritten.
  ///   - threads: changes nothing but the time.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  package func backward(
    _ outputGradient: UnsafePointer<Scalar>, losses: UnsafePointer<Double>? = nil, input: UnsafePointer<Scalar>,
    parameters: LayerParameters<Scalar>, workspace: LayerWorkspace<Scalar>, gradients: LayerParameters<Scalar>,
    inputGradient: UnsafeMutablePointer<Scalar>, threads: Int = 1
  ) {
    let tiles = Parts(workspace.tokens, of: tokenTile)
    concurrently(tiles.parts, threads: threads) { k in
      differentiateOutputs(outputGradient, losses, tiles.range(k), part: k, parameters, workspace)
    }
    differentiateExperts(parameters, workspace, gradients, threads: threads)
    differentiateShared(outputGradient, parameters, workspace, gradients, threads: threads)
    differentiateRouter(input, parameters, workspace, gradients)
    concurrently(tiles.parts, threads: threads) { k in
      differentiateInput(outputGradient, tiles.range(k), parameters, workspace, to: inputGradient)
    }
    if let scale = gradients.scale {
      Scalar.columnSums(
        workspace.scaleParts.elements, rows: tiles.parts, columns: shape.outputs, stride: shape.outputs,
        into: scale.elements)
    }
  }

  /// Slopes of the multipliers, gradients of the experts' outputs (in the outputs' place), ω's part, gradient of the logits.
  private func differentiateOutputs(
    _ outputGradient: UnsafePointer<Scalar>, _ losses: UnsafePointer<Double>?, _ range: Range<Int>, part: Int,
    _ parameters: LayerParameters<Scalar>, _ workspace: LayerWorkspace<Scalar>
  ) {
    let (n, e, k) = (shape.experts, shape.outputs, workspace.slots)
    let scale = parameters.scale.map { UnsafePointer($0.elements) }
    let scaleSum = workspace.scaleParts.row(part)
    scaleSum.update(repeating: 0, count: e)
    for t in range {
      for s in 0..<k {
        let position = Int(workspace.dispatch.positions[t * k + s])
        workspace.slopes[t * k + s] = 0
        guard position >= 0 else { continue }
        let candidate = workspace.candidates == 1 ? 0 : s
        let upstream = outputGradient + (t * workspace.candidates + candidate) * e
        let output = workspace.routed.output.row(position)
        workspace.slopes[t * k + s] = Double(Scalar.dot(upstream, output, scale: scale, count: e))
        let factor = Scalar(workspace.backwardMultipliers[t * k + s])
        if scale != nil { Scalar.addProduct(upstream, output, factor: factor, to: scaleSum, count: e) }
        Scalar.setScaled(upstream, factor: factor, scale: scale, to: output, count: e)
      }
      if let standIns, let shares = workspace.standInShares {
        let upstream = outputGradient + t * e
        for i in 0..<n {
          workspace.standInSlopes[t * n + i] = Double(
            Scalar.dot(upstream, standIns.row(i), scale: scale, count: e))
          if scale != nil { Scalar.addProduct(upstream, standIns.row(i), factor: shares[t, i], to: scaleSum, count: e) }
        }
      }
      for place in t * workspace.lossCount..<(t + 1) * workspace.lossCount {
        workspace.losses[place] = losses.map { $0[place] } ?? 0
      }
    }
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 5 * n) { scratch in
      guard let scratch = scratch.baseAddress else { return }
      scratch.initialize(repeating: 0, count: 5 * n)
      probabilityGradient(workspace, to: scratch + 4 * n)
      for t in range {
        (workspace.logitGradients + t * n).update(repeating: 0, count: n)
        router.differentiate(workspace.token(t, n, scratch: scratch))
        addZLossGradient(t, workspace)
      }
    }
    Scalar.narrow(
      workspace.logitGradients + range.lowerBound * n, to: workspace.scalarLogits.row(range.lowerBound),
      count: range.count * n)
  }

  /// Gradients of hidden units and inputs by tiles of tokens, then of the weights by tiles of hidden units: a task's
  /// products are the same whoever does it.
  private func differentiateExperts(
    _ parameters: LayerParameters<Scalar>, _ workspace: LayerWorkspace<Scalar>,
    _ gradients: LayerParameters<Scalar>, threads: Int
  ) {
    forEachTile(workspace, threads: threads) { expert, range in
      workspace.routed.backward(expert: expert, range, parameters.experts)
    }
    let tiles = Parts(shape.hidden, of: hiddenTile)
    concurrently(shape.experts * tiles.parts, threads: threads) { task in
      let (expert, tile) = task.quotientAndRemainder(dividingBy: tiles.parts)
      workspace.routed.differentiateWeights(
        expert: expert, workspace.dispatch.range(of: expert), units: tiles.range(tile), gradients.experts)
    }
  }

  private func differentiateRouter(
    _ input: UnsafePointer<Scalar>, _ parameters: LayerParameters<Scalar>, _ workspace: LayerWorkspace<Scalar>,
    _ gradients: LayerParameters<Scalar>
  ) {
    let (n, d) = (shape.experts, shape.inputs)
    let source = workspace.jitteredInput.map { UnsafePointer($0.elements) } ?? input
    Scalar.multiply(
      MatrixView(workspace.scalarLogits.elements, stride: n, transposed: true), MatrixView(source, stride: d),
      rows: n, columns: d, depth: workspace.tokens, alpha: 1, beta: 0, into: gradients.router.elements, stride: d)
    if let bias = gradients.routerBias {
      Scalar.columnSums(
        workspace.scalarLogits.elements, rows: workspace.tokens, columns: n, stride: n, into: bias.elements)
    }
  }

  /// `∂L/∂x` of some tokens: through the router, the experts, and the residual.
  private func differentiateInput(
    _ outputGradient: UnsafePointer<Scalar>, _ range: Range<Int>, _ parameters: LayerParameters<Scalar>,
    _ workspace: LayerWorkspace<Scalar>, to inputGradient: UnsafeMutablePointer<Scalar>
  ) {
    let (n, d, e, k) = (shape.experts, shape.inputs, shape.outputs, workspace.slots)
    let first = inputGradient + range.lowerBound * d
    Scalar.multiply(
      MatrixView(workspace.scalarLogits.row(range.lowerBound), stride: n),
      MatrixView(parameters.router.elements, stride: d),
      rows: range.count, columns: d, depth: n, alpha: 1, beta: 0, into: first, stride: d)
    for t in range {
      let dx = inputGradient + t * d
      if let factors = workspace.inputJitter {
        for j in 0..<d { dx[j] *= factors.row(t)[j] }
      }
      for s in 0..<k {
        let position = Int(workspace.dispatch.positions[t * k + s])
        guard position >= 0 else { continue }
        Scalar.addScaled(
          workspace.routed.inputGradient.row(position), factor: 1, scale: nil, to: dx, count: d)
      }
      addSharedGradient(t, parameters, workspace, to: dx)
      guard options.residual else { continue }
      for c in 0..<workspace.candidates {
        let weight =
          workspace.candidates == 1 ? 1 : workspace.probabilities[t * n + c]
        Scalar.addScaled(
          outputGradient + (t * workspace.candidates + c) * e, factor: Scalar(weight), scale: nil, to: dx, count: e)
      }
    }
  }
}
