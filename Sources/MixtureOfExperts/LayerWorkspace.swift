import CStandardLibrary
import LayerTensors
import RoutingCore

/// The memory of one layer's forward and backward pass over up to so many tokens: made once, used at every step.
package final class LayerWorkspace<Scalar: LayerScalar>: @unchecked Sendable {
  /// The most tokens that there is room for.
  package let maximumTokens: Int
  /// The number of tokens of the last forward pass.
  package internal(set) var tokens = 0
  /// What the layer puts out, `[tokens · candidates, outputs]`.
  package let output: Tensor<Scalar>

  /// θ, p, 1 − p, `∂L/∂θ`, the stand-ins' slopes, `[tokens, experts]`.
  let logits, probabilities, complements, logitGradients, standInSlopes: UnsafeMutablePointer<Double>
  /// `[tokens, slots]`.
  let multipliers, backwardMultipliers, slopes: UnsafeMutablePointer<Double>
  /// `[tokens, memory]`.
  let memory: UnsafeMutablePointer<Double>
  /// `[tokens, losses]`.
  let losses: UnsafeMutablePointer<Double>
  let choices, primary: UnsafeMutablePointer<Int32>
  var dispatch: TokenDispatch

  /// What the next forward passes do to some tokens, whatever the router says.
  package var forced: [ForcedRoute] = []

  /// The router's input times its jitter, and the jitter, `[tokens, inputs]`, if there is one.
  package let jitteredInput: Tensor<Scalar>?
  let inputJitter: Tensor<Scalar>?
  /// Logits and their gradient as the layer computes them, `[tokens, experts]`.
  let scalarLogits: Tensor<Scalar>
  /// By position: inputs, activations, their slopes (unless ReLU), outputs.
  let sortedInput, hidden, hiddenSlope, sortedOutput: Tensor<Scalar>
  /// By position: gradients of the hidden units, of the inputs.
  let hiddenGradient, sortedInputGradient: Tensor<Scalar>
  /// `Σ` of what the scale multiplies, by part of the batch, `[parts, outputs]`.
  let scaleParts: Tensor<Scalar>
  /// p of the experts not chosen, `[tokens, experts]`, if there are stand-ins.
  let standInShares: Tensor<Scalar>?
  /// The mean probabilities, and the shares of tokens, `[experts]`.
  var meanProbabilities, shares: [Double]

  let slots, candidates, memoryCount, lossCount: Int

  /// Room for a layer's passes.
  package init(_ layer: MixtureLayer<Scalar>, maximumTokens: Int) {
    precondition(maximumTokens >= 0, "a batch has no negative number of tokens, got \(maximumTokens)")
    let (shape, n) = (layer.shape, layer.shape.experts)
    self.maximumTokens = maximumTokens
    slots = layer.router.slots(experts: n)
    candidates = layer.router.candidates(experts: n)
    memoryCount = layer.router.memory(experts: n)
    lossCount = layer.router.lossCount(experts: n)
    func doubles(_ count: Int) -> UnsafeMutablePointer<Double> {
      let memory = UnsafeMutablePointer<Double>.allocate(capacity: max(count, 1))
      memory.initialize(repeating: 0, count: max(count, 1))
      return memory
    }
    func integers(_ count: Int) -> UnsafeMutablePointer<Int32> {
      let memory = UnsafeMutablePointer<Int32>.allocate(capacity: max(count, 1))
      memory.initialize(repeating: -1, count: max(count, 1))
      return memory
    }
    let positions = maximumTokens * slots
    output = Tensor(rows: maximumTokens * candidates, columns: shape.outputs)
    logits = doubles(maximumTokens * n)
    probabilities = doubles(maximumTokens * n)
    complements = doubles(maximumTokens * n)
    logitGradients = doubles(maximumTokens * n)
    standInSlopes = doubles(maximumTokens * n)
    multipliers = doubles(positions)
    backwardMultipliers = doubles(positions)
    slopes = doubles(positions)
    memory = doubles(maximumTokens * memoryCount)
    losses = doubles(maximumTokens * lossCount)
    choices = integers(positions)
    primary = integers(maximumTokens)
    dispatch = TokenDispatch(tokens: maximumTokens, slots: slots, experts: n)
    let hasInputJitter = layer.router.inputJitter > 0
    jitteredInput = hasInputJitter ? Tensor(rows: maximumTokens, columns: shape.inputs) : nil
    inputJitter = hasInputJitter ? Tensor(rows: maximumTokens, columns: shape.inputs) : nil
    scalarLogits = Tensor(rows: maximumTokens, columns: n)
    sortedInput = Tensor(rows: positions, columns: shape.inputs)
    hidden = Tensor(rows: positions, columns: shape.hidden)
    hiddenSlope = Tensor(rows: shape.activation == .relu ? 0 : positions, columns: shape.hidden)
    sortedOutput = Tensor(rows: positions, columns: shape.outputs)
    hiddenGradient = Tensor(rows: positions, columns: shape.hidden)
    sortedInputGradient = Tensor(rows: positions, columns: shape.inputs)
    scaleParts = Tensor(rows: Parts(maximumTokens, of: tokenTile).parts, columns: shape.outputs)
    standInShares = layer.router.standInDecay != nil ? Tensor(rows: maximumTokens, columns: n) : nil
    meanProbabilities = [Double](repeating: 0, count: n)
    shares = meanProbabilities
  }

  deinit {
    for memory in [
      logits, probabilities, complements, logitGradients, standInSlopes, multipliers, backwardMultipliers, slopes,
      memory, losses,
    ] { memory.deallocate() }
    choices.deallocate()
    primary.deallocate()
    dispatch.deallocate()
  }

  // MARK: - What a pass has left

  /// The expert of each slot or −1 (none, or dropped), `[tokens, slots]`.
  package var choice: [Int] { (0..<tokens * slots).map { Int(choices[$0]) } }
  /// What each slot's output was multiplied by, `[tokens, slots]`.
  package var multiplier: [Double] { (0..<tokens * slots).map { multipliers[$0] } }
  /// p, `[tokens, experts]`; of token 0 first.
  package var routingProbabilities: [Double] { (0..<tokens * meanProbabilities.count).map { probabilities[$0] } }
  /// θ, `[tokens, experts]`.
  package var routerLogits: [Double] { (0..<tokens * meanProbabilities.count).map { logits[$0] } }
  /// `∂L/∂θ`, `[tokens, experts]`, after a backward pass.
  package var routerLogitGradients: [Double] { (0..<tokens * meanProbabilities.count).map { logitGradients[$0] } }
  /// The number of tokens that each expert computes, `[experts]`.
  package var loads: [Int] { meanProbabilities.indices.map { dispatch.range(of: $0).count } }
  /// The expert in a slot, or −1.
  package func expert(token: Int, slot: Int) -> Int { Int(choices[token * slots + slot]) }
  /// The expert that the load-balancing loss counts.
  package func chosenExpert(_ token: Int) -> Int { Int(primary[token]) }
  /// p of one expert.
  package func probability(token: Int, expert: Int) -> Double {
    probabilities[token * meanProbabilities.count + expert]
  }
  /// The number of slots of a token.
  package var slotCount: Int { slots }
  /// The output of the expert in a slot, `[outputs]`, as it is after a forward pass and until the backward pass; nil if the slot
  /// has no expert.
  package func expertOutput(token: Int, slot: Int) -> UnsafePointer<Scalar>? {
    let position = Int(dispatch.positions[token * slots + slot])
    return position >= 0 ? UnsafePointer(sortedOutput.row(position)) : nil
  }

  /// The number of slots that were dropped for lack of capacity.
  package var dropped: Int { dispatch.dropped }

  /// What the router did, in figures.
  package var routingFigures: RoutingFigures {
    var entropy = 0.0
    for i in 0..<tokens * meanProbabilities.count where probabilities[i] > 0 {
      entropy -= probabilities[i] * log(probabilities[i])
    }
    return RoutingFigures(entropy: entropy / Double(max(tokens, 1)), load: loads, dropped: dropped)
  }
}

/// What a router did with a batch.
package struct RoutingFigures: Sendable, Equatable {
  /// The mean over the tokens of `−Σ p log p`.
  package var entropy: Double
  /// The number of tokens that each expert computed, `[experts]`.
  package var load: [Int]
  /// The number of slots that were dropped for lack of capacity.
  package var dropped: Int
}

/// Tokens that are worked on at a time.
let tokenTile = 256
/// Hidden units that are worked on at a time.
let hiddenTile = 512
