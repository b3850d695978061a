import CStandardLibrary
import RoutingCore

// Gates, capacity and the layer's output.

extension RouterEvaluation {
  /// The multipliers of the experts A that a token is to go to.
  ///
  /// - Parameters:
  ///   - chosen: A, in order of choice.
  ///   - kept: whether capacity keeps each of them.
  /// - Returns: the multipliers, shaped like A; the pullback is to the logits of the gates.
  func multipliers(_ t: Int, _ chosen: [Int], kept: [Bool]) -> Differentiated {
    guard let gate = specification.gate else {
      return Differentiated(values: chosen.map { _ in .nan }) { _ in tokens[t].gateLogits.map { _ in 0 } }
    }
    let raw = gates(gate, t, chosen)
    let factors = factors(gate, chosen)
    let divisor = divisor(gate, raw.values, kept)
    return Differentiated(values: raw.values.indices.map { raw.values[$0] * factors[$0] / divisor.value }) { v in
      var gradient = v.indices.map { v[$0] * factors[$0] / divisor.value }
      if divisor.moves {
        let mean = v.indices.reduce(0) { $0 + v[$1] * factors[$1] * raw.values[$1] } / (divisor.value * divisor.value)
        for place in gradient.indices where divisor.counted[place] { gradient[place] -= mean }
      }
      return raw.pullback(gradient)
    }
  }

  private func isNormalized(_ gate: RouterSpecification.Gate) -> Bool {
    (gate.isNormalized && mistake != .normalizationMissing) || (!gate.isNormalized && mistake == .normalizationAdded)
  }

  /// What the gates of some experts are multiplied by.
  func factors(_ gate: RouterSpecification.Gate, _ experts: [Int]) -> [Double] {
    experts.enumerated().map { place, expert in
      var factor = gate.scale
      if mistake == .scaleMissing || mistake == .scaleBeforeNormalization && isNormalized(gate) { factor = 1 }
      if mistake == .scaleSquared { factor *= gate.scale }
      if gate.hasExpertScales, let scales = call.expertScales, mistake != .expertScalesMissing {
        factor *= scales[mistake == .expertScalesByPlace ? place : expert]
      }
      return factor
    }
  }

  /// What gates are divided by: its value, whether it moves with the scores, and whether each of them is in it.
  struct Divisor {
    var value: Double
    var moves: Bool
    var counted: [Bool]
  }

  /// D of gates h of the chosen experts.
  func divisor(_ gate: RouterSpecification.Gate, _ raw: [Double], _ kept: [Bool]) -> Divisor {
    let counted = kept.map { $0 || gate.sumsOverKept == (mistake == .normalizationOverOthers) }
    let sum = zip(raw, counted).reduce(0) { $1.1 ? $0 + $1.0 : $0 } + gate.epsilon
    let floor = mistake == .floorMissing ? 0 : gate.floor
    // Where capacity keeps nobody there is nothing to divide, and nothing that is multiplied. No floor is not a floor of 0:
    // sums of scores below 0 are divided by, too.
    let divides = isNormalized(gate) && counted.contains(true)
    let isFloored = floor > 0 && sum <= floor
    return Divisor(
      value: !divides ? 1 : isFloored ? floor : sum,
      moves: divides && !isFloored && mistake != .normalizationDetached, counted: counted)
  }

  /// h of the chosen experts.
  func gates(_ gate: RouterSpecification.Gate, _ t: Int, _ chosen: [Int]) -> Differentiated {
    let token = tokens[t]
    let n = token.gateLogits.count
    @Sendable func spread(_ v: [Double]) -> [Double] {
      var full = [Double](repeating: 0, count: n)
      for (place, expert) in chosen.enumerated() where !isZeroed(t, expert) { full[expert] += v[place] }
      return full
    }
    @Sendable func gathered(_ all: Differentiated) -> Differentiated {
      Differentiated(values: chosen.map { isZeroed(t, $0) ? 0 : all.values[$0] }) { all.pullback(spread($0)) }
    }
    var source = gate.source
    if mistake == .softmaxOverChosen { source = .softmaxOverChosen }
    if mistake == .softmaxOverAll { return gathered(softmax(token.gateLogits, over: token.open)) }
    if mistake == .biasInGate || mistake == .biasTakenOffAgain, let bias = call.bias, source == .score {
      return gathered(biased(token, bias))
    }
    switch source {
    case .score: return gathered(token.scores)
    case .softmaxOverChosen: return gathered(softmax(token.gateLogits, over: chosen))
    case .sigmoidOfLogit:
      return gathered(RouterSpecification.Score(.sigmoid).values(token.gateLogits, open: token.open))
    case .sequential: return sequential(token, chosen)
    case .subsetMarginal: return gathered(marginals(token, chosen.count))
    case .one: return Differentiated(values: chosen.map { _ in 1 }) { _ in [Double](repeating: 0, count: n) }
    }
  }

  /// Scores into which the selection bias has got.
  private func biased(_ token: Token, _ bias: [Double]) -> Differentiated {
    let values = token.scores.values.indices.map { i in
      mistake == .biasInGate
        ? token.scores.values[i] + bias[i]
        : Double((Float(token.scores.values[i]) + Float(bias[i])) - Float(bias[i]))
    }
    return Differentiated(values: values, pullback: token.scores.pullback)
  }

  /// The softmax of each draw over the experts left.
  private func sequential(_ token: Token, _ chosen: [Int]) -> Differentiated {
    let finite = token.gateLogits.indices.filter { token.gateLogits[$0] > -.infinity }
    let logits = finite.map { token.gateLogits[$0] }
    let draws = chosen.indices.map { place in
      let excluded = place == 0 ? nil : finite.firstIndex(of: chosen[0])
      let kept = specification.mask.support(of: logits, excluding: excluded).map { finite[$0] }
      return softmax(token.gateLogits, over: kept)
    }
    return Differentiated(values: chosen.indices.map { draws[$0].values[chosen[$0]] }) { v in
      var gradient = [Double](repeating: 0, count: token.gateLogits.count)
      for place in v.indices {
        var one = [Double](repeating: 0, count: gradient.count)
        one[chosen[place]] = v[place]
        for (k, entry) in draws[place].pullback(one).enumerated() { gradient[k] += entry }
      }
      return gradient
    }
  }

  /// The law of random subsets of the open experts with odds `s/(1 − s)`: of so many, or of all that can be drawn.
  func subsets(_ token: Token, _ count: Int) -> ConditionalBernoulli {
    let x = token.open.map { token.gateLogits[$0] / score.temperature }
    // log p − log(1 − p), where log(1 − p) is that of the sum of the others; of a single expert that is open, infinite.
    let bounded = odds(x).map { $0.isNaN ? -.infinity : min($0, 1e300) }
    guard
      let subsets = try? ConditionalBernoulli(
        logits: bounded, size: min(count, bounded.count { $0 > -.infinity }))
    else { preconditionFailure("\(bounded) are no odds") }
    return subsets
  }

  private func odds(_ x: [Double]) -> [Double] { score.function == .softmax ? logOdds(x) : x }

  /// The probabilities of being in a random subset of odds `s/(1 − s)`.
  private func marginals(_ token: Token, _ count: Int) -> Differentiated {
    let tau = score.temperature
    let n = token.gateLogits.count
    let open = token.open
    let x = open.map { token.gateLogits[$0] / tau }
    let isSoftmax = score.function == .softmax
    let odds = odds(x)
    let subsets = subsets(token, count)
    var values = [Double](repeating: 0, count: n)
    for (place, i) in open.enumerated() { values[i] = subsets.marginals[place] }
    let isDetached = mistake == .complementDetached
    return Differentiated(values: values) { v in
      let u = subsets.covarianceProduct(subsets.covariance, open.map { v[$0] })
      var gradient = [Double](repeating: 0, count: n)
      let p = softmax(x, over: Array(x.indices)).values
      for (place, i) in open.enumerated() {
        gradient[i] = u[place] * (isSoftmax || !isDetached ? 1 : sigmoid(-x[place])) / tau
        guard isSoftmax else { continue }
        for (other, j) in open.enumerated() {
          // ∂ℓ_j/∂x_i = δ_ij − e^{x_i}/Σ_{l ≠ j} e^{x_l}, i ≠ j; with log(1 − p) for a constant δ_ij − p_i.
          if isDetached {
            gradient[i] -= u[other] * p[place] / tau
          } else if i != j {
            gradient[i] -= u[other] * exp(x[place] - x[other] + odds[other]) / tau
          }
        }
      }
      return gradient
    }
  }

  /// Whether each chosen expert has room for the token.
  func kept(_ chosen: [[Int]]) -> [[Bool]] {
    var kept = chosen.map { $0.map { _ in true } }
    guard let capacity = specification.capacity, mistake != .capacityIgnored else { return kept }
    let change = mistake == .capacityOneMore ? 1 : mistake == .capacityOneFewer ? -1 : 0
    let limit = capacity.limit + change
    if mistake == .capacityByScatteredLogits { return keptOfScattered(chosen, limit) }
    let gates = chosen.indices.map { multipliers($0, chosen[$0], kept: kept[$0]).values }
    var load = [Int](repeating: 0, count: specification.experts)
    for (t, place) in order(chosen, gates, capacity.priority) {
      let expert = chosen[t][place]
      if load[expert] < limit { load[expert] += 1 } else { kept[t][place] = false }
    }
    return kept
  }

  private func order(
    _ chosen: [[Int]], _ gates: [[Double]], _ declared: RouterSpecification.Capacity.Priority
  ) -> [(token: Int, place: Int)] {
    let places = chosen.indices.flatMap { t in chosen[t].indices.map { (token: t, place: $0) } }
    let priority: RouterSpecification.Capacity.Priority =
      switch mistake {
      case .priorityByPosition: .position
      case .priorityByRank: .rank
      case .priorityByScore: .score
      default: declared
      }
    switch priority {
    case .position: return places
    case .rank: return places.sorted { ($0.place, $0.token) < ($1.place, $1.token) }
    case .score:
      return places.sorted { a, b in
        let (x, y) = (gates[a.token][a.place], gates[b.token][b.place])
        return x != y ? x > y : (a.token, a.place) < (b.token, b.place)
      }
    }
  }

  /// Each expert keeps the tokens of its largest logits, those not chosen counting as 0.
  private func keptOfScattered(_ chosen: [[Int]], _ limit: Int) -> [[Bool]] {
    let best = (0..<specification.experts).map { i in
      Set(
        Self.largest(
          chosen.indices.map { chosen[$0].contains(i) ? tokens[$0].logits[i] : 0 }, limit))
    }
    return chosen.indices.map { t in chosen[t].map { best[$0].contains(t) } }
  }
}
