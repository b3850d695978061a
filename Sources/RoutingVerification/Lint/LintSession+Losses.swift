import RouterSpecifications
import RoutingCore

// The checks on gradients beside the gates', on functions, and on the bias.

extension LintSession {
  func auxiliaryGradient() throws(Stop) -> String {
    guard profile.speaksOfAll || specification.auxiliaryLosses.isEmpty else {
      throw .notApplicable("routegrad.router/1 has no word for the gradient of an auxiliary loss")
    }
    for (pattern, call) in try auxiliaryCalls() {
      let answer: RouterAnswer
      do throws(Stop) {
        answer = try ask(call)
      } catch {
        guard case .refuted(let words) = error else { throw error }
        throw .refuted("\(pattern): \(words)")
      }
      guard answer.auxiliaryGradient != nil else {
        throw .undecided("the router does not report the gradient of its auxiliary loss")
      }
      try requireLosses([.auxiliaryGradient], of: answer, to: call, pattern)
    }
    return "the gradient of the declared losses on 5 batches"
  }

  func microBatches() throws(Stop) -> String {
    guard specification.auxiliaryLosses.contains(where: { $0.scope == .global }) else {
      throw .notApplicable("no auxiliary loss is declared to be of a larger batch")
    }
    guard specification.capacity == nil, !specification.selection.isJoint else {
      throw .notApplicable("micro-batches route otherwise than their sum, where tokens compete")
    }
    for _ in 0..<4 {
      var whole = randomCall(tokens: 6)
      whole.globalTokens = whole.tokens
      let first = try ask(whole)
      var counts = [Double](repeating: 0, count: profile.experts)
      for expert in first.choice.joined() { counts[expert] += 1 }
      whole.globalCounts = counts
      let together = try ask(whole)
      let parts = try [[0, 1], [2, 3, 4, 5]].map { tokens throws(Stop) in try ask(whole.selecting(tokens)) }
      guard let loss = together.auxiliaryLoss, case let losses = parts.compactMap(\.auxiliaryLoss), losses.count == 2
      else { throw .undecided("the router does not report its auxiliary loss") }
      let sum = RouterAnswer(
        choice: together.choice, multipliers: together.multipliers, gradient: nil, auxiliaryLoss: losses[0] + losses[1])
      if let difference = comparison.difference(sum, from: together, to: whole, in: [.auxiliaryLoss]) {
        throw .refuted(
          "\(Words.call(whole)) in parts of 2 and 4: the losses sum to \(Words.number(losses[0] + losses[1])), "
            + "that of the whole is \(Words.number(loss)) (\(difference))\(resemblance(parts[0], whole.selecting([0, 1])))"
        )
      }
      if let whole = together.auxiliaryGradient, let a = parts[0].auxiliaryGradient, let b = parts[1].auxiliaryGradient
      {
        for (t, row) in (a + b).enumerated() {
          let scale = max(1e-3, whole[t].map(\.magnitude).max() ?? 0)
          if !agree(row, whole[t], scale: scale) {
            throw .refuted(
              "token \(t) of 6, in parts of 2 and 4: the gradient of the auxiliary loss is \(Words.list(row)), in the "
                + "whole \(Words.list(whole[t]))")
          }
        }
      }
    }
    return "the parts' losses summed to the whole's in 4 batches"
  }

  func noiseGradient() throws(Stop) -> String {
    guard specification.noise?.kind == .learnedNormal else { throw .notApplicable("the noise's scale is not learned") }
    for _ in 0..<rounds {
      let call = randomBatch()
      let answer = try ask(call)
      guard answer.noiseGradient != nil else {
        throw .undecided("the router does not report the gradient at the logits of its noise's scale")
      }
      try require([.noiseGradient], of: answer, to: call)
    }
    return "the gradient at the logits of the noise's scale in \(rounds) calls"
  }

  func application() throws(Stop) -> String {
    guard specification.usesFunctions else { throw .notApplicable("experts are given by their outputs") }
    guard specification.gate != nil else { throw .undecided("the router does not say what its gates are") }
    for _ in 0..<rounds {
      let call = randomBatch()
      let answer = try ask(call)
      guard answer.output != nil else { throw .undecided("the router does not report the layer's output") }
      try require([.output, .gradient], of: answer, to: call, "experts as functions")
    }
    return "the output is that of gates on the expert's \(specification.applied.rawValue) in \(rounds) calls"
  }

  func biasUpdate() throws(Stop) -> String {
    guard specification.biasUpdate != nil else { throw .notApplicable("the router declares no update of a bias") }
    for _ in 0..<8 {
      let call = randomCall(tokens: min(6, specification.capacity?.limit ?? 6))
      let answer = try ask(call)
      guard answer.biasAfter != nil else { throw .undecided("the router does not report its bias after the update") }
      guard let expected = reference.answer(to: call, given: answer.choice) else { continue }
      if let difference = comparison.difference(answer, from: expected, to: call, in: [.biasAfter]) {
        throw .refuted(
          "\(call.tokens) tokens, \(Words.call(call)), bias \(Words.list(call.bias ?? [])): "
            + "\(difference)\(resemblance(answer, call))")
      }
    }
    return "the bias moved by its rule in 8 calls"
  }
}
