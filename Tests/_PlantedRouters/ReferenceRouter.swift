import CStandardLibrary
import RouterSpecifications
import RoutingCore
import RoutingVerification

/// A router written from the definitions alone, without the product's softmax; sound, unless it is given flaws.
///
/// One router covers the families that the battery is tried on: top-1 and top-k, softmax, renormalised and sequential
/// gates, sampled or not, masks, coins, both kinds of jitter, capacity, the load-balancing loss.
public final class ReferenceRouter: ForeignRouter {
  public let profile: RouterProfile
  let flaws: Set<Flaw>
  var calls: UInt64 = 0

  /// A router that behaves as its profile says, but for its flaws.
  public init(_ profile: RouterProfile, flaws: Set<Flaw> = []) {
    var profile = profile
    profile.speaksOfAll = true
    self.profile = profile
    self.flaws = flaws
  }

  private var outputScales: [Double] { profile.specification.gate?.outputScales ?? [1] }
  private var gradientFactor: Double { profile.specification.gate?.gradientFactor ?? 1 }

  /// One choice of one token.
  struct Pick {
    var expert: Int
    /// The softmax that the gate is an entry of.
    var distribution: [Double]
    /// What the coin multiplies the gate by.
    var scale: Double
    var gate: Double { distribution[expert] }
  }

  public func route(_ call: RouterCall) throws(RouterFailure) -> RouterAnswer {
    calls += 1
    var answer = RouterAnswer(choice: [], multipliers: [], gradient: [], output: [], dispatch: [], logitsAfter: [])
    var load = [Int](repeating: 0, count: profile.experts)
    var received: [[[Double]]] = []
    for t in 0..<call.tokens {
      let noise = noise(call, t)
      let logits = adjusted(zip(call.logits[t], noise).map { $0 * $1 }, call)
      var picks = self.picks(logits, call, t)
      if let capacity = profile.specification.capacity?.limit {
        let kept = picks.filter { load[$0.expert] < capacity || flaws.contains(.overfullExperts) }
        for pick in kept { load[pick.expert] += 1 }
        if !flaws.contains(.droppedTokensKeepGradient) { picks = kept }
        answer.choice.append(kept.map(\.expert))
        answer.multipliers.append(kept.map { $0.gate * $0.scale })
      } else {
        answer.choice.append(picks.map(\.expert))
        answer.multipliers.append(picks.map { $0.gate * $0.scale })
      }
      answer.gradient?.append(gradient(picks, call, t, noise))
      forward(picks, call, t, logits, &answer)
      let isLeaking = flaws.contains(.jitterIntoExperts)
      received.append(answer.choice[t].map { _ in isLeaking ? logits : call.logits[t] })
      answer.logitsAfter?.append(
        flaws.contains(.mutatesLogits) ? logits.map { $0 - (logits.max() ?? 0) } : call.logits[t])
    }
    if flaws.contains(.normalisesOverTokens) { normaliseOverTokens(&answer) }
    if profile.takes == .input { answer.expertInputs = received }
    if let loss = profile.specification.auxiliaryLosses.first {
      (answer.auxiliaryLoss, answer.auxiliaryGradient) = balance(loss, answer, call)
    }
    return answer
  }
}

// MARK: - Forward

extension ReferenceRouter {
  /// u, `[experts]`.
  private func noise(_ call: RouterCall, _ t: Int) -> [Double] {
    let width: Double
    guard let noise = profile.specification.noise else { return call.logits[t].map { _ in 1 } }
    width = noise.width
    guard call.mode == .train || flaws.contains(.jitterInEvaluation) else { return call.logits[t].map { _ in 1 } }
    return call.uniforms[t].prefix(profile.experts).map { 1 - width + 2 * width * $0 }
  }

  private func adjusted(_ logits: [Double], _ call: RouterCall) -> [Double] {
    flaws.contains(.clipsLogits) ? logits.map { $0 == -.infinity ? $0 : min(max($0, -5), 5) } : logits
  }

  func softmax(_ logits: [Double]) -> [Double] {
    let top = flaws.contains(.softmaxOverflows) ? 0 : logits.max() ?? 0
    let weights = logits.map { exp($0 - top) }
    let total = weights.reduce(0, +)
    return weights.map { $0 / total }
  }

  /// The experts that the mask keeps, −∞ in the place of the others.
  private func masked(_ logits: [Double], excluding excluded: Int?, threshold: Double) -> [Double] {
    var candidates = logits
    if let excluded, !flaws.contains(.secondExpertNotRemoved) { candidates[excluded] = -.infinity }
    let top = (flaws.contains(.thresholdFromFirstMaximum) ? logits : candidates).max() ?? 0
    return candidates.enumerated().map { j, logit in
      if logit == -.infinity { return logit }
      let isOut =
        switch profile.specification.mask {
        case .none: false
        case .paper: top - logit > threshold * (abs(top) + abs(logit))
        case .referenceCode: (top - logit) / max(abs(logits[j]), top) > 2 * threshold
        }
      return isOut ? -.infinity : logit
    }
  }

  func picks(_ logits: [Double], _ call: RouterCall, _ t: Int) -> [Pick] {
    var chosen: [Int] = []
    var picks: [Pick] = []
    let isSampling = isSampling && call.mode == .train
    let threshold = flaws.contains(.jitterZero) ? 0 : profile.specification.mask.threshold ?? 0
    for place in 0..<profile.topK {
      let isSequential = profile.specification.gate?.source == .sequential
      let kept = masked(logits, excluding: isSequential ? chosen.first : nil, threshold: threshold)
      let p = softmax(kept)
      var open = kept
      if !isSequential {
        for expert in chosen where !flaws.contains(.secondExpertNotRemoved) { open[expert] = -.infinity }
      }
      let top = argmax(open)
      let stride = profile.experts + (outputScales.count > 1 ? 1 : 0)
      let expert = isSampling ? sample(open, call.uniforms[t], place * stride) : top
      var scale = 1.0
      if isSampling, outputScales.count > 1, expert != top,
        call.uniforms[t][place * stride + profile.experts] < 0.75
      {
        scale = outputScales[1]
      }
      chosen.append(expert)
      let isNaN = flaws.contains(.logarithmOfZero) && isSampling && call.uniforms[t].contains(0)  // ∞ − ∞
      picks.append(Pick(expert: expert, distribution: isNaN ? p.map { _ in .nan } : p, scale: scale))
    }
    let overChosen = profile.specification.gate?.source == .softmaxOverChosen || flaws.contains(.softmaxAfterTopK)
    if overChosen != flaws.contains(.notRenormalized) || flaws.contains(.softmaxAfterTopK) {
      let share = softmax(chosen.map { logits[$0] })
      var spread = [Double](repeating: 0, count: profile.experts)
      for (place, expert) in chosen.enumerated() { spread[expert] = share[place] }
      for place in picks.indices { picks[place].distribution = spread }
    }
    if flaws.contains(.sigmoidGates) {
      for place in picks.indices { picks[place].distribution = logits.map { 1 / (1 + exp(-$0)) } }
    }
    return picks
  }

  /// Whether draws are left for sampling after the jitter.
  private var isSampling: Bool { profile.specification.noise == nil && profile.uniforms > 0 }

  private func argmax(_ values: [Double]) -> Int {
    values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 }
  }

  /// The argmax of `θ + Γ`, one draw for each expert.
  private func sample(_ logits: [Double], _ uniforms: [Double], _ start: Int) -> Int {
    if flaws.contains(.drawsItsOwn) {
      var generator = Philox(seed: calls, stream: 7)
      return Int.random(in: 0..<profile.experts, using: &generator)
    }
    let least = flaws.contains(.logarithmOfZero) ? 0 : 0x1p-64
    let noisy = logits.enumerated().map { k, logit in logit - log(-log(max(uniforms[start + k], least))) }
    return argmax(noisy)
  }

  private func forward(
    _ picks: [Pick], _ call: RouterCall, _ t: Int, _ logits: [Double], _ answer: inout RouterAnswer
  ) {
    var weights = [Double](repeating: 0, count: profile.experts)
    var mask = weights
    for (place, expert) in answer.choice[t].enumerated() {
      weights[expert] += answer.multipliers[t][place]
      mask[expert] = 1
    }
    if flaws.contains(.softForward) { (weights, mask) = (softmax(logits), softmax(logits)) }
    if flaws.contains(.denseOutput) { weights = softmax(logits) }
    if flaws.contains(.droppedTokensKeepOutput), answer.choice[t].isEmpty { weights[0] = 0.5 }
    let rows = call.expertOutputs[t]
    answer.output?.append(
      call.upstream[t].indices.map { j in rows.indices.reduce(0) { $0 + weights[$1] * rows[$1][j] } })
    answer.dispatch?.append(mask)
  }

  /// The mistake of dividing by a sum along the wrong axis: the multipliers sum to one over the batch.
  private func normaliseOverTokens(_ answer: inout RouterAnswer) {
    let total = answer.multipliers.joined().reduce(0, +)
    if answer.multipliers.count > 1 { answer.multipliers = answer.multipliers.map { row in row.map { $0 / total } } }
  }
}

// MARK: - Backward, and the loss

extension ReferenceRouter {
  private func gradient(_ picks: [Pick], _ call: RouterCall, _ t: Int, _ noise: [Double]) -> [Double] {
    var gradient = [Double](repeating: 0, count: profile.experts)
    if flaws.contains(.detachedWeights) { return gradient }
    for (place, pick) in picks.enumerated() {
      if place > 0, flaws.contains(.secondWeightDetached) { continue }
      let row = call.expertOutputs[t][pick.expert]
      var slope = gradientFactor * zip(call.upstream[t], row).reduce(0) { $0 + $1.0 * $1.1 }
      if flaws.contains(.factorTwo) { slope *= 2 }
      for k in gradient.indices {
        let kronecker = k == pick.expert ? 1.0 : 0
        var entry = pick.gate * (kronecker - pick.distribution[k])
        if flaws.contains(.softmaxDetached) { entry = pick.gate * kronecker }
        if flaws.contains(.sigmoidGates) { entry = kronecker * pick.gate * (1 - pick.gate) }
        gradient[k] += slope * entry
      }
    }
    if profile.specification.noise?.kind == .uniform, !flaws.contains(.jitterWithoutChainRule) {
      for k in gradient.indices { gradient[k] *= noise[k] }
    }
    if flaws.contains(.wrongEntries) { gradient = gradient.indices.map { gradient[($0 + 1) % gradient.count] } }
    return gradient
  }

  private func balance(
    _ loss: RouterSpecification.AuxiliaryLoss, _ answer: RouterAnswer, _ call: RouterCall
  ) -> (value: Double, gradient: [[Double]]) {
    let count = Double(profile.experts)
    let tokens = Double(call.tokens)
    let factor = loss.coefficient * (flaws.contains(.auxiliaryWithoutN) ? 1 : count)
    var total = 0.0
    var slopes = [Double](repeating: 0, count: profile.experts)
    let shares = call.logits.enumerated().map { t, row in
      let p = softmax(adjusted(zip(row, noise(call, t)).map { $0 * $1 }, call))
      return flaws.contains(.softmaxOfSoftmax) ? softmax(p) : p
    }
    for i in 0..<profile.experts {
      var fraction = 0.0
      for row in answer.choice {
        for (place, expert) in row.enumerated() where expert == i {
          switch loss.counting {
          case .first: fraction += place == 0 ? 1 : 0
          case .mean: fraction += 1 / Double(row.count)
          case .all: fraction += place == 0 || !flaws.contains(.countsFirstChoices) ? 1 : 0
          }
        }
      }
      total += fraction / tokens * shares.reduce(0) { $0 + $1[i] } / tokens
      slopes[i] = factor * fraction / tokens / tokens
    }
    let gradient = shares.enumerated().map { t, p in
      let mean = zip(p, slopes).reduce(0) { $0 + $1.0 * $1.1 }
      let isFactor = profile.specification.noise?.kind == .uniform
      return p.indices.map { p[$0] * (slopes[$0] - mean) * (isFactor ? noise(call, t)[$0] : 1) }
    }
    return (factor * total, gradient)
  }
}
