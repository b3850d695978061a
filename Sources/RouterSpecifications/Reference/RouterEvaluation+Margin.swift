// How clearly a call is decided.

extension RouterEvaluation {
  /// The least gap at a decision, relative to the sizes compared there.
  var margin: Double {
    if call.choice != nil { return capacityMargin }
    let size = call.bias?.map(\.magnitude).max() ?? 0
    var least = Double.infinity
    func decide(_ a: Double, _ b: Double) {
      guard a.isFinite, b.isFinite else { return }
      least = min(least, (a - b).magnitude / max(a.magnitude, b.magnitude, size, 1e-300))
    }
    for token in tokens {
      for (a, b) in groupDecisions(token) { decide(a, b) }
      let sorted = token.keys.prefix(specification.experts - specification.alwaysChosen).filter { $0 > -.infinity }
        .sorted(by: >)
      switch specification.selection {
      case .topK(let k), .sampled(let k):
        if sorted.count > k { decide(sorted[k - 1], sorted[k]) }
      case .topP(let mass, let k):
        var sum = 0.0
        let chosen = Self.largest(token.keys, k + 1)
        for (place, i) in chosen.enumerated() {
          if place > 0 { decide(token.keys[chosen[place - 1]], token.keys[i]) }
          sum += token.scores.values[i]
          if place < k { decide(sum, mass) }
          if sum >= mass { break }
        }
      case .threshold(let above, let k):
        // A ReLU's 0 is exact, and not above 0 however it is rounded.
        let isExact = specification.score.function == .relu && specification.key == .score && above == 0 && size == 0
        for key in sorted where !(isExact && key == 0) {
          least = min(least, (key - above).magnitude / max(key.magnitude, above.magnitude, 1e-3))
        }
        if sorted.count > k { decide(sorted[k - 1], sorted[k]) }
      case .expertChoice, .forced, .unstated: break
      }
    }
    if case .expertChoice(let c) = specification.selection {
      for i in 0..<specification.experts {
        let sorted = tokens.map { $0.keys[i] }.filter { $0 > -.infinity }.sorted(by: >)
        if sorted.count > c { decide(sorted[c - 1], sorted[c]) }
      }
    }
    return min(least, capacityMargin)
  }

  /// The worths of the last group that is kept and of the first that is not.
  private func groupDecisions(_ token: Token) -> [(Double, Double)] {
    guard let groups = specification.groups, groups.kept < groups.count else { return [] }
    let worth = groupWorths(unrestrictedKeys(token)).sorted(by: >)
    return [(worth[groups.kept - 1], worth[groups.kept])]
  }

  /// The least gap between the gates of two tokens that want the same expert, where those decide.
  private var capacityMargin: Double {
    guard let capacity = specification.capacity, capacity.priority == .score, let chosen = chosen() else {
      return .infinity
    }
    var least = Double.infinity
    var byExpert: [Int: [Double]] = [:]
    for (t, experts) in chosen.enumerated() {
      let gates = multipliers(t, experts, kept: experts.map { _ in true }).values
      for (place, expert) in experts.enumerated() { byExpert[expert, default: []].append(gates[place]) }
    }
    for gates in byExpert.values where gates.count > capacity.limit {
      let sorted = gates.sorted(by: >)
      let (a, b) = (sorted[capacity.limit - 1], sorted[capacity.limit])
      least = min(least, (a - b) / max(a.magnitude, b.magnitude, 1e-300))
    }
    return least
  }
}
