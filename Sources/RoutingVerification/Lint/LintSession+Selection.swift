import RouterSpecifications
import RoutingCore

// The checks on the choice: keys, bias, groups, forced choices, capacity.

extension LintSession {
  func selection() throws(Stop) -> String {
    switch specification.selection {
    case .forced: throw .notApplicable("its choice is in the call; see \"replay\"")
    case .unstated:
      guard specification.gate != nil else { throw .undecided("the router does not say how it chooses") }
      throw .notApplicable("it declares a choice by another rule")
    default: break
    }
    var compared = 0
    let special: [StageCalls.Kind] = [
      .largeBias, .negativeKeys, .lowLogits, .highLogits, .twoGoodKeysInAGroup, .nearTheMass,
    ]
    for (kind, training) in calls([.oneToken], each: 8) + calls(special, each: 4) {
      var call = training
      if reference.wanted(by: call) == nil { call.mode = .eval }  // what is drawn in training is the largest key here
      guard reference.margin(of: call) > leastMargin, let own = reference.answer(to: call), own.firstNotFinite == nil
      else { continue }
      compared += 1
      let answer = try ask(call)
      if let difference = comparison.difference(answer, from: own, to: call, in: [.choice]) {
        throw .refuted(
          "\(kind.words): \(describe(call, difference.token ?? 0)): \(difference)\(resemblance(answer, call))")
      }
    }
    guard compared > 0 else { throw .undecided("no call was clear enough for rounding to leave it alone") }
    return "the choice is that of the keys in \(compared) calls" + (try drawnSubsets().map { "; \($0)" } ?? "")
  }

  /// A token's logits, and what else its choice depends on.
  private func describe(_ call: RouterCall, _ t: Int) -> String {
    var words = "logits \(Words.list(call.logits[t]))"
    if let bias = call.bias { words += ", bias \(Words.list(bias))" }
    return words
  }

  func tinyGates() throws(Stop) -> String {
    guard specification.hasSelectionBias, specification.gate?.source == .score, specification.key == .score,
      specification.score.function != .relu, specification.score.function != .identity
    else { throw .notApplicable("no bias chooses experts of tiny scores") }
    guard case .topK(let k) = specification.selection, k < profile.experts else {
      throw .notApplicable("no bias chooses experts of tiny scores")
    }
    let strict = AnswerComparison(of: specification, tolerance: profile.tolerance, isStrict: true)
    for (kind, call) in calls([.tinyScores], each: 8) {
      try require([.multipliers], of: try ask(call), to: call, by: strict, kind.words)
    }
    return "multipliers of experts that a large bias chose keep their digits at scores down to e^−16"
  }

  func biasPrecision() throws(Stop) -> String {
    guard specification.hasSelectionBias else { throw .notApplicable("the router declares no selection bias") }
    guard specification.choosesByKeys else { throw .notApplicable("its choice is not the largest keys") }
    var compared = 0
    for (_, call) in calls([.closeBiases], each: 8) {
      guard reference.margin(of: call) > leastMargin, let own = reference.answer(to: call) else { continue }
      compared += 1
      let answer = try ask(call)
      if let difference = comparison.difference(answer, from: own, to: call, in: [.choice]) {
        throw .refuted(
          "equal logits, bias \(Words.list(call.bias ?? [])) in steps of 2⁻¹⁰: \(difference)\(resemblance(answer, call))"
        )
      }
    }
    guard compared > 0 else { throw .notApplicable("equal logits do not leave the choice to the bias") }
    return "biases 2⁻¹⁰ apart decide in \(compared) calls"
  }

  func replay() throws(Stop) -> String {
    let isForced: Bool
    if case .forced = specification.selection { isForced = true } else { isForced = false }
    guard specification.replays || isForced else { throw .notApplicable("the router does not declare that it replays") }
    for _ in 0..<rounds {
      var call = randomBatch()
      call.choice = randomChoice(call.tokens)
      let forced = call.choice ?? []
      let answer = try ask(call)
      for t in forced.indices where Set(answer.choice[t]) != Set(forced[t]) {
        throw .refuted(
          "\(Words.call(call)), choice \(Words.list(forced[t])) to be replayed: token \(t) goes to "
            + "\(Words.list(answer.choice[t])), expected \(Words.list(forced[t]))\(resemblance(answer, call))")
      }
      try require([.multipliers, .gradient], of: answer, to: call, "a replayed choice")
    }
    return "\(rounds) choices replayed with the multipliers and the gradient of the logits given"
  }

  func capacityPriority() throws(Stop) -> String {
    guard let capacity = specification.capacity else { throw .notApplicable("the router declares no capacity") }
    guard specification.choosesByKeys else {
      throw .notApplicable("what tokens want is drawn, and not reported")
    }
    var compared = 0
    for (_, call) in calls([.overflow, .overflowOfLowLogits, .overflowFarApart], each: 4) {
      guard reference.margin(of: call) > leastMargin, let wanted = reference.wanted(by: call),
        let own = reference.answer(to: call)
      else { continue }
      compared += 1
      let answer = try ask(call)
      var load = [Int](repeating: 0, count: profile.experts)
      for expert in answer.choice.joined() { load[expert] += 1 }
      for t in wanted.indices {
        guard let expert = wanted[t].first(where: { !answer.choice[t].contains($0) && load[$0] < capacity.limit })
        else {
          continue
        }
        throw .refuted(
          "\(call.tokens) tokens, \(Words.call(call)): token \(t) is turned away by expert \(expert), which takes "
            + "\(load[expert]) of \(capacity.limit)\(resemblance(answer, call))")
      }
      if let difference = comparison.difference(answer, from: own, to: call) {
        throw .refuted(
          "\(call.tokens) tokens, \(Words.call(call)), served by \(capacity.priority.rawValue): "
            + "\(difference)\(resemblance(answer, call))")
      }
    }
    guard compared > 0 else { throw .undecided("no call was clear enough for rounding to leave it alone") }
    return
      "served by \(capacity.priority.rawValue), and nobody turned away while there was room, in \(compared) batches"
  }

  func causality() throws(Stop) -> String {
    if specification.selection.isJoint {
      throw .notApplicable(
        "tokens compete for experts: routes depend on later tokens by definition, and cannot be decoded")
    }
    if let priority = specification.capacity?.priority, priority != .position {
      throw .notApplicable("served by \(priority.rawValue), a token may be turned away for a later one by definition")
    }
    for _ in 0..<4 {
      let call = randomCall(tokens: 4 + (specification.capacity?.limit ?? 0))
      let other = randomCall(tokens: call.tokens)
      let half = call.tokens / 2
      var changed = call
      for t in half..<call.tokens {
        changed.logits[t] = other.logits[t]
        changed.expertOutputs[t] = other.expertOutputs[t]
        changed.upstream[t] = other.upstream[t]
      }
      guard reference.margin(of: call) > leastMargin, reference.margin(of: changed) > leastMargin else { continue }
      let answers = (try ask(call), try ask(changed))
      for t in 0..<half {
        let single = call.selecting([t])
        func row(_ answer: RouterAnswer) -> RouterAnswer {
          RouterAnswer(
            choice: [answer.choice[t]], multipliers: [answer.multipliers[t]], gradient: [gradient(answer)[t]])
        }
        if let difference = difference(row(answers.0), row(answers.1), to: single) {
          let words = resemblance(answers.1, changed)
          throw .refuted(
            "\(Words.call(call)), and with other tokens from \(half) on: of token \(t), \(difference)"
              + (words.isEmpty ? resemblance(answers.0, call) : words))
        }
      }
    }
    return "4 batches whose first half did not depend on the second"
  }
}
