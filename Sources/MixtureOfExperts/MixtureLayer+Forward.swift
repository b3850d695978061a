import LayerTensors
import RoutingCore

extension MixtureLayer {
  /// Routes a batch, runs the experts and leaves the outputs in `workspace.output`.
  ///
  /// - Parameters:
  ///   - input: x, `[tokens, inputs]`, row-major.
  ///   - tokens: the number of tokens, at most the workspace's.
  ///   - parameters: the layer's.
  ///   - randomness: where random numbers come from; nil as at evaluation: no noise, the most probable expert in full.
  ///   - threads: changes nothing but the time.
  /// - Returns: the auxiliary losses.
  /// - Throws: ``Refusal`` if a balanced assignment cannot be found.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  @discardableResult
  package func forward(
    _ input: UnsafePointer<Scalar>, tokens: Int, parameters: LayerParameters<Scalar>,
    workspace: LayerWorkspace<Scalar>, randomness: LayerRandomness?, threads: Int = 1
  ) throws(Refusal) -> AuxiliaryLosses {
    precondition(tokens <= workspace.maximumTokens, "\(tokens) tokens are more than \(workspace.maximumTokens)")
    precondition(parameters.shape == shape, "the parameters are not this layer's")
    workspace.tokens = tokens
    let tiles = Parts(tokens, of: tokenTile)
    concurrently(tiles.parts, threads: threads) { k in
      computeLogits(input, tiles.range(k), parameters, workspace, randomness)
    }
    if router.decidesJointly, randomness != nil {
      try router.assign(workspace.logits, tokens: tokens, experts: shape.experts, to: workspace.primary)
    }
    concurrently(tiles.parts, threads: threads) { k in
      route(tiles.range(k), part: k, workspace, randomness)
    }
    workspace.force()
    let losses = auxiliaryLosses(workspace)
    workspace.dispatch.sort(workspace.choices, tokens: tokens, capacity: capacity(tokens: tokens))
    runExperts(input, parameters, workspace, threads: threads)
    if randomness != nil { updateStandIns(workspace) }
    concurrently(tiles.parts, threads: threads) { k in
      combine(input, tiles.range(k), parameters, workspace)
    }
    return losses
  }

  /// `θ = W x + b` for some tokens, of the jittered input if there is such jitter.
  private func computeLogits(
    _ input: UnsafePointer<Scalar>, _ range: Range<Int>, _ parameters: LayerParameters<Scalar>,
    _ workspace: LayerWorkspace<Scalar>, _ randomness: LayerRandomness?
  ) {
    let (n, d) = (shape.experts, shape.inputs)
    var source = input + range.lowerBound * d
    if let jittered = workspace.jitteredInput, let factors = workspace.inputJitter {
      for t in range {
        // The streams of the second half: the first half's belong to the routers.
        var random = randomness.map { Philox(seed: $0.seed, stream: ~($0.stream &+ UInt64(t))) }
        for j in 0..<d {
          let factor = Scalar(random?.jitter(router.inputJitter) ?? 1)
          factors.row(t)[j] = factor
          jittered.row(t)[j] = factor * input[t * d + j]
        }
      }
      source = UnsafePointer(jittered.row(range.lowerBound))
    }
    let logits = workspace.scalarLogits.row(range.lowerBound)
    Scalar.multiply(
      MatrixView(source, stride: d), MatrixView(parameters.router.elements, stride: d, transposed: true),
      rows: range.count, columns: n, depth: d, alpha: 1, beta: 0, into: logits, stride: n)
    if let bias = parameters.routerBias {
      Scalar.addRow(bias.elements, to: logits, rows: range.count, columns: n)
    }
    Scalar.widen(logits, to: workspace.logits + range.lowerBound * n, count: range.count * n)
  }

  private func route(
    _ range: Range<Int>, part: Int, _ workspace: LayerWorkspace<Scalar>, _ randomness: LayerRandomness?
  ) {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 5 * shape.experts) { scratch in
      guard let scratch = scratch.baseAddress else { return }
      scratch.initialize(repeating: 0, count: 5 * shape.experts)
      for t in range {
        var random = randomness?.generator(token: t)
        router.route(workspace.token(t, shape.experts, scratch: scratch), &random)
      }
    }
  }

  /// One task for each expert and tile of its tokens.
  private func runExperts(
    _ input: UnsafePointer<Scalar>, _ parameters: LayerParameters<Scalar>, _ workspace: LayerWorkspace<Scalar>,
    threads: Int
  ) {
    let (d, h, e) = (shape.inputs, shape.hidden, shape.outputs)
    forEachTile(workspace, threads: threads) { expert, range in
      let x = workspace.sortedInput.row(range.lowerBound)
      for (k, position) in range.enumerated() {
        (x + k * d).update(from: input + Int(workspace.dispatch.tokens[position]) * d, count: d)
      }
      let z = workspace.hidden.row(range.lowerBound)
      Scalar.multiply(
        MatrixView(x, stride: d),
        MatrixView(parameters.weights1.row(expert * h), stride: d, transposed: true),
        rows: range.count, columns: h, depth: d, alpha: 1, beta: 0, into: z, stride: h)
      Scalar.activate(
        z, rows: range.count, columns: h, bias: parameters.biases1.map { UnsafePointer($0.row(expert)) },
        activation: shape.activation,
        slope: shape.activation == .relu ? nil : workspace.hiddenSlope.row(range.lowerBound))
      let y = workspace.sortedOutput.row(range.lowerBound)
      Scalar.multiply(
        MatrixView(z, stride: h), MatrixView(parameters.weights2.row(expert * e), stride: h, transposed: true),
        rows: range.count, columns: e, depth: h, alpha: 1, beta: 0, into: y, stride: e)
      if let bias = parameters.biases2 {
        Scalar.addRow(bias.row(expert), to: y, rows: range.count, columns: e)
      }
    }
  }

  /// Calls `body` with every expert and tile of its positions.
  func forEachTile(
    _ workspace: LayerWorkspace<Scalar>, threads: Int, _ body: (_ expert: Int, _ positions: Range<Int>) -> Void
  ) {
    let perExpert = Parts(max(workspace.tokens, 1), of: tokenTile).parts
    concurrently(shape.experts * perExpert, threads: threads) { task in
      let (expert, tile) = task.quotientAndRemainder(dividingBy: perExpert)
      let positions = workspace.dispatch.range(of: expert)
      let tiles = Parts(positions.count, of: tokenTile)
      guard tile < tiles.parts else { return }
      let range = tiles.range(tile)
      body(expert, positions.lowerBound + range.lowerBound..<positions.lowerBound + range.upperBound)
    }
  }

  /// `m_i ← β m_i + (1 − β) · mean of the step's outputs of expert i`, where it had tokens.
  private func updateStandIns(_ workspace: LayerWorkspace<Scalar>) {
    guard let standIns, let decay = router.standInDecay else { return }
    let e = shape.outputs
    for i in 0..<shape.experts {
      let range = workspace.dispatch.range(of: i)
      guard !range.isEmpty else { continue }
      let mean = standIns.row(i)
      for j in 0..<e { mean[j] *= Scalar(decay) }
      for position in range {
        Scalar.addScaled(
          workspace.sortedOutput.row(position), factor: Scalar((1 - decay) / Double(range.count)), scale: nil,
          to: mean, count: e)
      }
    }
  }

  /// `y = ω ⊙ Σ m f (+ x)` for some tokens.
  private func combine(
    _ input: UnsafePointer<Scalar>, _ range: Range<Int>, _ parameters: LayerParameters<Scalar>,
    _ workspace: LayerWorkspace<Scalar>
  ) {
    let (n, e, k) = (shape.experts, shape.outputs, workspace.slots)
    let scale = parameters.scale.map { UnsafePointer($0.elements) }
    for t in range {
      for c in 0..<workspace.candidates {
        let y = workspace.output.row(t * workspace.candidates + c)
        if options.residual {
          y.update(from: input + t * e, count: e)
        } else {
          y.update(repeating: 0, count: e)
        }
      }
      for s in 0..<k {
        let position = Int(workspace.dispatch.positions[t * k + s])
        guard position >= 0, workspace.multipliers[t * k + s] != 0 else { continue }
        let candidate = workspace.candidates == 1 ? 0 : s
        Scalar.addScaled(
          workspace.sortedOutput.row(position), factor: Scalar(workspace.multipliers[t * k + s]), scale: scale,
          to: workspace.output.row(t * workspace.candidates + candidate), count: e)
      }
      if let standIns, let shares = workspace.standInShares {
        for i in 0..<n { shares[t, i] = Scalar(workspace.probabilities[t * n + i]) }
        for s in 0..<k where workspace.choices[t * k + s] >= 0 { shares[t, Int(workspace.choices[t * k + s])] = 0 }
        for i in 0..<n where shares[t, i] != 0 {
          Scalar.addScaled(
            standIns.row(i), factor: shares[t, i], scale: scale, to: workspace.output.row(t), count: e)
        }
      }
    }
  }
}

extension LayerWorkspace {
  /// One token's part of the memory; the gradient of its logits may stand elsewhere.
  func token(
    _ t: Int, _ experts: Int, scratch: UnsafeMutablePointer<Double>, gradient: UnsafeMutablePointer<Double>? = nil
  ) -> TokenRoute {
    TokenRoute(
      experts: experts, slots: slots, logits: logits + t * experts, probabilities: probabilities + t * experts,
      complements: complements + t * experts, choice: choices + t * slots, multiplier: multipliers + t * slots,
      backwardMultiplier: backwardMultipliers + t * slots, primary: primary + t, memory: memory + t * memoryCount,
      scratch: scratch, slopes: slopes + t * slots, standInSlopes: standInSlopes + t * experts,
      losses: losses + t * lossCount, probabilityGradient: scratch + 4 * experts,
      gradient: gradient ?? logitGradients + t * experts)
  }
}
