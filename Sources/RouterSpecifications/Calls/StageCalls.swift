import CStandardLibrary
import RoutingCore

/// The calls that the lint's checks make and golden vectors are chosen from: random ones, and those on which a stage of the
/// specification shows.
///
/// Calls of a kind differ in their random numbers; all numbers are exact in Float32.
package struct StageCalls {
  /// Random calls.
  package var source: CallGenerator

  package init(from source: CallGenerator) { self.source = source }

  private var specification: RouterSpecification { source.profile.specification }
  private var most: Int { specification.mostChosen }

  /// What is special about a call.
  package enum Kind: CaseIterable, Sendable {
    case oneToken
    case fewTokens
    case batch
    case evaluation
    case lowLogits
    case highLogits
    case farApart
    case closeTogether
    case tinyScores
    case closeBiases
    case largeBias
    case negativeKeys
    case twoGoodKeysInAGroup
    case overflow
    case overflowOfLowLogits
    case overflowFarApart
    case nearTheMass
    case replay
    case balanced
    case partOfABatch
    case otherPartOfTheBatch
  }

  /// The kinds that say something about the specification.
  package var kinds: [Kind] { Kind.allCases.filter(applies) }

  /// Whether a kind says something about the specification.
  package func applies(_ kind: Kind) -> Bool {
    switch kind {
    case .oneToken, .fewTokens, .farApart, .closeTogether: return true
    case .batch: return isAboutBatches
    case .evaluation: return specification.noise != nil || specification.isSampled
    case .lowLogits, .highLogits: return specification.mask == .none && !isInvariant
    case .tinyScores, .closeBiases, .largeBias, .negativeKeys: return specification.hasSelectionBias
    case .twoGoodKeysInAGroup: return specification.groups != nil
    case .overflow, .overflowOfLowLogits, .overflowFarApart: return overflowTokens != nil
    case .nearTheMass: if case .topP = specification.selection { return true } else { return false }
    case .replay: return specification.replays
    case .balanced: return specification.auxiliaryLosses.contains { $0.kind == .cvSquared }
    case .partOfABatch, .otherPartOfTheBatch:
      return specification.auxiliaryLosses.contains { $0.scope == .global }
    }
  }

  private var isAboutBatches: Bool {
    specification.selection.isJoint || !specification.auxiliaryLosses.isEmpty || specification.biasUpdate != nil
  }

  private var isInvariant: Bool {
    specification.hasShiftInvariantChoice && specification.hasShiftInvariantGates == true
  }

  /// How many tokens fill an expert more than up; nil where there is no such batch of a reasonable size.
  private var overflowTokens: Int? {
    guard let capacity = specification.capacity else { return nil }
    let tokens = 2 * capacity.limit + 2
    return tokens * specification.experts <= 1 << 17 && tokens <= 1024 ? tokens : nil
  }

  /// A call of a kind whose answer is known: what the router would draw is in it; nil if this try gave none.
  mutating func decidedCall(_ kind: Kind) -> RouterCall? {
    guard var call = call(kind) else { return nil }
    // What the specification leaves to chance, or to the call, is in the call.
    let isDrawn = !specification.choosesByKeys && !(specification.isSampled && call.mode == .eval)
    if call.choice == nil, isDrawn { call.choice = drawn(call) }
    return call
  }

  /// A call of a kind; nil if this try gave none.
  package mutating func call(_ kind: Kind) -> RouterCall? {
    let n = specification.experts
    switch kind {
    case .oneToken: return source.batch()
    case .fewTokens: return source.batch(3)
    case .batch: return source.batch(6)
    case .evaluation: return source.batch(2, mode: .eval)
    case .lowLogits: return shifted(source.batch(2), by: -6)
    case .highLogits: return shifted(source.batch(2), by: 3)
    case .farApart:
      var call = source.batch(2)
      if specification.mask == .none { call.logits = call.logits.map { $0.map { 8 * $0 } } }
      return call
    case .closeTogether:
      var call = source.batch(2)
      if specification.mask == .none { call.logits = call.logits.map { $0.map { $0 / 8 } } }
      return call
    case .tinyScores:
      var call = source.batch()
      var bias = source.bias(atMost: 0.25)
      let depth = [8.0, 12, 16][Int(source.generator.next() % 3)]
      for i in 0..<min(most, n - 1) {
        call.logits[0][i] = Double(Float((-depth - Double(i) / 4) * specification.score.temperature))
        bias[i] += specification.key == .logits ? 32 : 8
      }
      call.bias = bias
      return call
    case .closeBiases:
      var call = source.batch()
      call.logits = call.logits.map { _ in [Double](repeating: 0.5, count: n) }
      var ranks = Array(0..<n)
      ranks.shuffle(using: &source.generator)
      // BF16 keeps multiples of 1/128 here; where they lie among the biases is random.
      let offset = Double(source.generator.next() % 8)
      call.bias = ranks.map { 1 + (Double($0) + offset) / 1024 }
      return call
    case .largeBias:
      var call = source.batch(2)
      call.bias = source.bias(atMost: 4)
      return call
    case .negativeKeys:
      var call = source.batch(2)
      call.bias = source.bias(atMost: 1).map { $0 - 3 }
      if specification.key == .logits { call.logits = call.logits.map { $0.map { $0 - 3 } } }
      return call
    case .twoGoodKeysInAGroup: return withGoodKeys(source.batch(2))
    case .overflow: return overflowing(by: 0)
    case .overflowOfLowLogits: return overflowing(by: -6)
    case .overflowFarApart: return overflowing(by: 0, factor: 12)
    case .nearTheMass: return nearTheMass(source.call(tokens: 1))
    case .replay:
      var call = source.call(tokens: 3)
      call.choice = source.choice(3)
      return call
    case .balanced: return balanced()
    case .partOfABatch: return part(0)
    case .otherPartOfTheBatch: return part(1)
    }
  }

  private func shifted(_ call: RouterCall, by shift: Double) -> RouterCall {
    var call = call
    call.logits = call.logits.map { $0.map { $0 + shift } }
    return call
  }

  /// One expert of a group far ahead of the rest, and another group with two that are nearly as good.
  private mutating func withGoodKeys(_ call: RouterCall) -> RouterCall {
    guard let groups = specification.groups else { return call }
    let size = specification.experts / groups.count
    var call = call
    for t in 0..<call.tokens {
      for group in 0..<groups.count {
        let first = group * size
        let best = 2.5 + Double(source.generator.next() % 64) / 64
        call.logits[t][first + Int(source.generator.next() % UInt64(size))] = best
        if source.generator.next() & 1 == 0 {
          call.logits[t][first + Int(source.generator.next() % UInt64(size))] = best - 0.75
        }
      }
    }
    return call
  }

  /// A batch of which most would like the same expert, as their first choice, or as the second one.
  private mutating func overflowing(by shift: Double, factor: Double = 1) -> RouterCall? {
    guard let tokens = overflowTokens else { return nil }
    var call = source.call(tokens: tokens)
    let favourite = Int(source.generator.next() % UInt64(specification.experts))
    for t in 0..<tokens {
      let top = call.logits[t].max() ?? 0
      switch source.generator.next() % 8 {
      case 0..<5: call.logits[t][favourite] = top + 0.5 + Double(source.generator.next() % 64) / 64
      case 5, 6: call.logits[t][favourite] = top - 1.0 / 128
      default: break
      }
      call.logits[t] = call.logits[t].map { factor * $0 + shift }
    }
    return call
  }

  /// The best logit moved until a sum of the largest scores is just above, or below, the mass.
  private mutating func nearTheMass(_ call: RouterCall) -> RouterCall? {
    guard case .topP(let mass, let count) = specification.selection else { return nil }
    var call = call
    let best = RouterEvaluation.largest(call.logits[0], 1)[0]
    let target = mass * (source.generator.next() & 1 == 0 ? 1.002 : 0.998)
    let place = 1 + Int(source.generator.next() % UInt64(min(count, 4)))
    func sum(_ logit: Double) -> Double {
      var moved = call
      moved.logits[0][best] = logit
      let token = RouterEvaluation(RouterReference(specification), moved).tokens[0]
      return RouterEvaluation.largest(token.keys, place).reduce(0) { $0 + token.scores.values[$1] }
    }
    var (low, high) = (call.logits[0][best] - 4, call.logits[0][best] + 8)
    for _ in 0..<40 {
      let middle = (low + high) / 2
      if sum(middle) < target { low = middle } else { high = middle }
    }
    call.logits[0][best] = Double(Float(high))
    return call
  }

  /// Every expert has the same importance, exactly, though no choice is a tie: tokens of k experts each, all others closed.
  private mutating func balanced() -> RouterCall? {
    let n = specification.experts
    let k = max(most, 1)
    guard n % k == 0, n / k <= 64, specification.mask == .none else { return nil }
    var call = source.call(tokens: n / k)
    for t in 0..<call.tokens {
      call.logits[t] = (0..<n).map { $0 / k == t ? 0.5 : -.infinity }
    }
    return call
  }

  private var halves: [RouterCall] = []

  /// One half of a batch whose counts are those of both.
  private mutating func part(_ which: Int) -> RouterCall? {
    if which == 0 || halves.isEmpty {
      var whole = source.call(tokens: 6)
      if !specification.choosesByKeys { whole.choice = drawn(whole) }
      guard let wanted = RouterReference(specification).wanted(by: whole) else { return nil }
      var counts = [Double](repeating: 0, count: specification.experts)
      for expert in wanted.joined() { counts[expert] += 1 }
      whole.globalTokens = 6
      whole.globalCounts = counts
      halves = [whole.selecting([0, 1, 2]), whole.selecting([3, 4, 5])]
    }
    return halves[which]
  }

  /// A choice of experts that may be chosen.
  private mutating func drawn(_ call: RouterCall) -> [[Int]] {
    let evaluation = RouterEvaluation(RouterReference(specification), call)
    return evaluation.tokens.map { token in
      var chosen: [Int] = []
      while chosen.count < most {
        let left = evaluation.drawable(token, after: chosen).filter { !chosen.contains($0) }
        guard !left.isEmpty else { break }
        chosen.append(left[Int(source.generator.next() % UInt64(left.count))])
      }
      return chosen
    }
  }
}

extension RouterEvaluation {
  /// The experts that a draw may give: those within the mask that is made anew for a second draw, and above −∞.
  func drawable(_ token: Token, after chosen: [Int]) -> [Int] {
    guard specification.gate?.source == .sequential, let first = chosen.first else {
      return token.open.filter { token.keys[$0] > -.infinity }
    }
    let finite = token.logits.indices.filter { token.logits[$0] > -.infinity }
    let support = specification.mask.support(
      of: finite.map { token.logits[$0] }, excluding: finite.firstIndex(of: first))
    return support.map { finite[$0] }
  }
}

extension StageCalls.Kind {
  /// What is special about it, for counter-examples.
  package var words: String {
    switch self {
    case .oneToken: "random logits"
    case .fewTokens: "a few tokens"
    case .batch: "a batch"
    case .evaluation: "evaluation"
    case .lowLogits: "logits around −6"
    case .highLogits: "logits around 3"
    case .farApart: "logits far apart"
    case .closeTogether: "logits close together"
    case .tinyScores: "experts of tiny scores under a large bias"
    case .closeBiases: "equal logits, biases in steps of 2⁻¹⁰"
    case .largeBias: "a bias of up to 4"
    case .negativeKeys: "a bias around −3, so that keys are negative"
    case .twoGoodKeysInAGroup: "groups with two good keys"
    case .overflow: "more tokens than an expert takes"
    case .overflowOfLowLogits: "more tokens than an expert takes, logits around −6"
    case .overflowFarApart: "more tokens than an expert takes, logits far apart"
    case .nearTheMass: "scores that sum to nearly the mass"
    case .replay: "a choice that is replayed"
    case .balanced: "experts of equal importance"
    case .partOfABatch, .otherPartOfTheBatch: "a part of a batch"
    }
  }
}
