import CStandardLibrary

// The layer's output, and the answer as a whole.

extension RouterEvaluation {
  /// The answer for the experts that tokens are to go to.
  ///
  /// - Parameter isGiven: whether the choice is what capacity has left already.
  func answer(choosing chosen: [[Int]], isGiven: Bool) -> RouterAnswer {
    let kept = isGiven ? chosen.map { $0.map { _ in true } } : self.kept(chosen)
    let gates = chosen.indices.map { multipliers($0, chosen[$0], kept: kept[$0]) }
    var answer = RouterAnswer(choice: [], multipliers: [], gradient: nil)
    func keeping<Entry>(_ row: [Entry], _ t: Int) -> [Entry] { zip(row, kept[t]).filter(\.1).map(\.0) }
    answer.choice = chosen.indices.map { keeping(chosen[$0], $0) }
    answer.multipliers = chosen.indices.map { keeping(gates[$0].values, $0) }
    if specification.gate != nil {
      var gradients: [[Double]] = []
      var outputs: [[Double]] = []
      var noiseGradients: [[Double]] = []
      for t in chosen.indices {
        let (output, slopes) = layer(t, chosen[t], gates[t].values, kept[t])
        let gradient = gates[t].pullback(detached(slopes))
        outputs.append(output)
        gradients.append(chained(t, gradient))
        if let noiseGradient = noiseGradient(t, gradient) { noiseGradients.append(noiseGradient) }
      }
      answer.output = outputs
      answer.gradient = gradients
      if !noiseGradients.isEmpty { answer.noiseGradient = noiseGradients }
    }
    if !specification.auxiliaryLosses.isEmpty {
      let losses = auxiliaryLosses(chosen, kept, gates)
      answer.auxiliaryLoss = losses.value
      answer.auxiliaryGradient = losses.gradient
    }
    answer.biasAfter = biasAfter(chosen)
    return answer
  }

  /// A gradient at θ of one at the gates' logits.
  func chained(_ t: Int, _ gradient: [Double]) -> [Double] {
    guard let factors = tokens[t].factors else { return gradient }
    return zip(gradient, factors).map { $0 * $1 }
  }

  /// The slopes at the multipliers that the backward pass uses.
  private func detached(_ slopes: [Double]) -> [Double] {
    var slopes = slopes.map { $0 * (mistake == .factorMissing ? 1 : specification.gate?.gradientFactor ?? 1) }
    switch mistake {
    case .gateDetached: slopes = slopes.map { _ in 0 }
    case .firstGateDetached where !slopes.isEmpty: slopes[0] = 0
    case .lastGateDetached where !slopes.isEmpty: slopes[slopes.count - 1] = 0
    case .factorTwice: slopes = slopes.map { 2 * $0 }
    default: break
    }
    return slopes
  }

  /// y of a token, and ∂L/∂m of its experts: 0 where capacity keeps none.
  private func layer(
    _ t: Int, _ chosen: [Int], _ multipliers: [Double], _ kept: [Bool]
  ) -> (output: [Double], slopes: [Double]) {
    let upstream = call.upstream[t]
    var output = [Double](repeating: 0, count: upstream.count)
    var slopes: [Double] = []
    for (place, expert) in chosen.enumerated() {
      let (value, derivative) = weighted(t, expert, multipliers[place])
      if kept[place] { for j in output.indices { output[j] += value[j] } }
      let counts = kept[place] || mistake == .droppedKeepGradient
      slopes.append(counts ? zip(upstream, derivative).reduce(0) { $0 + $1.0 * $1.1 } : 0)
    }
    return (output, slopes)
  }

  /// What an expert adds to the output with multiplier m, and its derivative by m.
  private func weighted(_ t: Int, _ expert: Int, _ m: Double) -> (value: [Double], derivative: [Double]) {
    let isNull = specification.nullExperts.map { expert >= specification.experts - $0.count } ?? false
    if isNull, mistake == .nullExpertsDropped {
      let zeros = [Double](repeating: 0, count: call.upstream[t].count)
      return (zeros, zeros)
    }
    guard let functions = call.functions, let input = call.inputs?[t] else {
      return linear(call.expertOutputs[t][expert], m)
    }
    if isNull { return linear(specification.nullExperts?.kind == .identity ? input : input.map { _ in 0 }, m) }
    let function = functions[expert]
    var onInput = specification.applied == .input
    if mistake == .gateOnInput || mistake == .gateOnBoth { onInput = true }
    if mistake == .gateOnOutput { onInput = false }
    guard onInput else {
      let f = function.value(at: input)
      guard mistake == .offsetNotWeighted else { return linear(f.value, m) }
      let bare = zip(f.value, function.offset).map { $0 - $1 }
      return (zip(bare, function.offset).map { m * $0 + $1 }, bare)
    }
    let f = function.value(at: input, scaledBy: m)
    guard mistake == .gateOnBoth else { return f }
    return (f.value.map { m * $0 }, zip(f.value, f.derivative).map { $0 + m * $1 })
  }

  private func linear(_ f: [Double], _ m: Double) -> (value: [Double], derivative: [Double]) { (f.map { m * $0 }, f) }
}

extension RouterCall.ExpertFunction {
  /// `f(m x)`, and its derivative by m.
  func value(at x: [Double], scaledBy m: Double = 1) -> (value: [Double], derivative: [Double]) {
    let inside = inner.map { row in zip(row, x).reduce(0) { $0 + $1.0 * $1.1 } }
    let hidden = inside.map { tanh(m * $0) }
    let slopes = zip(inside, hidden).map { $0 * (1 - $1 * $1) }
    func times(_ row: [Double], _ v: [Double]) -> Double { zip(row, v).reduce(0) { $0 + $1.0 * $1.1 } }
    return (zip(outer, offset).map { times($0, hidden) + $1 }, outer.map { times($0, slopes) })
  }
}
