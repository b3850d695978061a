import CStandardLibrary
import RoutingCore

// Auxiliary losses with their gradients, and the update of the bias.

extension RouterEvaluation {
  /// The sum of the auxiliary losses, and its gradient at θ.
  func auxiliaryLosses(
    _ chosen: [[Int]], _ kept: [[Bool]], _ gates: [Differentiated]
  ) -> (value: Double, gradient: [[Double]]) {
    var value = 0.0
    var gradient = call.logits.map { $0.map { _ in 0.0 } }
    guard mistake != .auxiliaryMissing else { return (0, gradient) }
    for loss in specification.auxiliaryLosses {
      let batches = batches(loss)
      for batch in batches {
        let share = loss.coefficient / Double(batches.count)
        let part = auxiliaryLoss(loss, batch, chosen, kept, gates)
        value += share * part.value
        for (t, row) in zip(batch, part.gradient) {
          for k in row.indices { gradient[t][k] += share * row[k] }
        }
      }
    }
    if mistake == .auxiliaryDetached { gradient = gradient.map { $0.map { _ in 0 } } }
    return (value, gradient)
  }

  /// The tokens over which means are taken.
  private func batches(_ loss: RouterSpecification.AuxiliaryLoss) -> [[Int]] {
    let all = Array(0..<call.tokens)
    guard loss.scope == .sequence, let sequences = call.sequences, mistake != .sequencesIgnored else { return [all] }
    return Dictionary(grouping: all) { sequences[$0] }.sorted { $0.key < $1.key }.map(\.value)
  }

  private func auxiliaryLoss(
    _ loss: RouterSpecification.AuxiliaryLoss, _ batch: [Int], _ chosen: [[Int]], _ kept: [[Bool]],
    _ gates: [Differentiated]
  ) -> (value: Double, gradient: [[Double]]) {
    let isGlobal = loss.scope == .global && mistake != .microBatchScaling
    let tokenCount = Double(isGlobal ? call.globalTokens ?? batch.count : batch.count)
    if loss.kind == .z { return zLoss(batch, tokenCount) }
    let shares = batch.map { probabilities(loss, $0, chosen[$0], gates[$0]) }
    let n = Double(specification.experts)
    var sums = [Double](repeating: 0, count: specification.experts)
    for share in shares { for (k, p) in share.values.enumerated() { sums[k] += p } }
    let value: Double
    let slopes: [Double]
    switch loss.kind {
    case .z: preconditionFailure("the z-loss has no shares")
    case .balance:
      var loads = [Double](repeating: 0, count: specification.experts)
      for t in batch {
        let counted = mistake == .countsKept ? zip(chosen[t], kept[t]).filter(\.1).map(\.0) : chosen[t]
        add(counted, loss.counting, to: &loads)
      }
      if isGlobal, let counts = call.globalCounts { loads = counts }
      let factor = mistake == .balanceWithoutExperts ? 1 : n
      slopes = loads.map { factor * $0 / tokenCount / tokenCount }
      value = zip(slopes, sums).reduce(0) { $0 + $1.0 * $1.1 }
    case .cvSquared:
      let mean = sums.reduce(0, +) / n
      let variance = sums.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
      let square = variance / (mean * mean)
      var gradient = sums.map { 2 * ($0 - mean) / (n * mean * mean) - 2 * variance / (n * mean * mean * mean) }
      if mistake == .deviationSquared, variance == 0 { gradient = gradient.map { _ in .nan } }
      guard mistake == .deviationForVariance else {
        (value, slopes) = (square, gradient)
        break
      }
      value = square.squareRoot()
      slopes = gradient.map { $0 / (2 * value) }
    }
    return (value, zip(batch, shares).map { t, share in self.chained(t, share.pullback(slopes)) })
  }

  private func zLoss(_ batch: [Int], _ count: Double) -> (value: Double, gradient: [[Double]]) {
    var value = 0.0
    let gradient = batch.map { t -> [Double] in
      let z = tokens[t].logits
      let open = z.indices.filter { z[$0] > -.infinity }
      let top = open.map { z[$0] }.max() ?? 0
      let normalizer = top + log(open.reduce(0) { $0 + exp(z[$1] - top) })
      let isLinear = mistake == .zWithoutSquare
      value += (isLinear ? normalizer : normalizer * normalizer) / count
      let slope = (isLinear ? 1 : 2 * normalizer) / count
      return chained(t, softmax(z, over: open).values.map { slope * $0 })
    }
    return (value, gradient)
  }

  /// p of a token, and its pullback to the logits.
  private func probabilities(
    _ loss: RouterSpecification.AuxiliaryLoss, _ t: Int, _ chosen: [Int], _ gates: Differentiated
  ) -> Differentiated {
    var kind = loss.probabilities
    if mistake == .probabilitiesOfScores { kind = .normalizedScore }
    if mistake == .probabilitiesOfSoftmax { kind = .softmax }
    let token = tokens[t]
    let n = specification.experts
    let open = token.logits.indices.filter { token.logits[$0] > -.infinity }
    if mistake == .balanceOfLogits {
      let values = token.logits.map { $0 == -.infinity ? 0 : $0 }
      return Differentiated(values: values) { $0 }
    }
    switch kind {
    case .softmax:
      let p = softmax(token.logits, over: open)
      guard mistake == .balanceOfSoftmaxTwice else { return p }
      let twice = softmax(p.values, over: open)
      return Differentiated(values: twice.values) { p.pullback(twice.pullback($0)) }
    case .normalizedScore:
      let scores = token.scores
      let sum = scores.values.reduce(0, +)
      let p = scores.values.map { sum == 0 ? 0 : $0 / sum }
      return Differentiated(values: p) { v in
        let mean = zip(p, v).reduce(0) { $0 + $1.0 * $1.1 }
        return scores.pullback(v.map { sum == 0 ? 0 : ($0 - mean) / sum })
      }
    case .gate:
      var values = [Double](repeating: 0, count: n)
      for (place, expert) in chosen.enumerated() { values[expert] += gates.values[place] }
      return Differentiated(values: values) { v in gates.pullback(chosen.map { v[$0] }) }
    }
  }

  private func add(_ experts: [Int], _ declared: RouterSpecification.AuxiliaryLoss.Counting, to loads: inout [Double]) {
    let counting: RouterSpecification.AuxiliaryLoss.Counting =
      switch mistake {
      case .countsAll: .all
      case .countsMean: .mean
      case .countsFirst: .first
      default: declared
      }
    for expert in counting == .first ? Array(experts.prefix(1)) : experts {
      loads[expert] += counting == .mean ? 1 / Double(experts.count) : 1
    }
  }

  /// b after a step, from the loads of the call.
  func biasAfter(_ chosen: [[Int]]) -> [Double]? {
    guard let update = specification.biasUpdate, let bias = call.bias else { return nil }
    var loads = [Double](repeating: 0, count: specification.experts)
    for expert in chosen.joined() { loads[expert] += 1 }
    let mean = loads.reduce(0, +) / Double(specification.experts)
    let isSign = (update.rule == .sign) != (mistake == .biasUpdateOfOtherRule)
    let direction = mistake == .biasUpdateReversed ? -1.0 : 1
    return zip(bias, loads).map { b, load in
      let error = mean - load
      let step = isSign ? (error > 0 ? 1 : error < 0 ? -1 : 0) : error
      return b + direction * update.rate * step
    }
  }
}
