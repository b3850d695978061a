import RouterSpecifications
import RoutingCore

// The checks on the forward pass and on what the router does to its caller's data.

extension LintSession {
  func forward() throws(Stop) -> String {
    var compared: [String] = []
    for _ in 0..<rounds {
      let call = randomBatch()
      let answer = try ask(call)
      let choice = answer.choice[0]
      if Set(choice).count < choice.count {
        throw .refuted("\(Words.call(call)): an expert is chosen twice, choice \(Words.list(choice))")
      }
      if choice.count < profile.topK, !specification.selection.mayBeFewer {
        throw .refuted(
          "\(Words.call(call)): \(choice.count) experts are chosen for a lone token, choice \(Words.list(choice)), "
            + "top-\(profile.topK) is declared")
      }
      compared = []
      if let dispatch = answer.dispatch {
        try requireOneHot(dispatch[0], choice, call)
        compared.append("one-hot")
      }
      if let output = answer.output, specification.applied == .output, !specification.usesFunctions {
        try requireSparse(output[0], answer, call)
        compared.append("the weighted outputs of the chosen experts")
      }
    }
    if compared.isEmpty, specification.usesFunctions, specification.gate != nil {
      return "distinct experts in \(rounds) calls; the output is held to its formula by the check \"application\""
    }
    guard !compared.isEmpty else {
      throw .undecided("the router reports neither the layer's output nor the dispatch mask")
    }
    return "the forward pass is \(compared.joined(separator: " and ")) in \(rounds) calls"
  }

  private func requireOneHot(_ row: [Double], _ choice: [Int], _ call: RouterCall) throws(Stop) {
    for (k, value) in row.enumerated() where value != (choice.contains(k) ? 1 : 0) {
      let soft = row.contains { $0 != 0 && $0 != 1 } ? " (a soft sample, returned as a hard one?)" : ""
      throw .refuted(
        "\(Words.call(call)), choice \(Words.list(choice)): the dispatch mask is \(Words.list(row)), expected 1 at the "
          + "chosen experts and 0 elsewhere\(soft)")
    }
  }

  private func requireSparse(_ output: [Double], _ answer: RouterAnswer, _ call: RouterCall) throws(Stop) {
    let rows = call.expertOutputs[0]
    func mixed(_ weights: [(expert: Int, weight: Double)]) -> [Double] {
      output.indices.map { j in weights.reduce(0) { $0 + $1.weight * rows[$1.expert][j] } }
    }
    let chosen = Array(zip(answer.choice[0], answer.multipliers[0])).map { (expert: $0, weight: $1) }
    let expected = mixed(chosen)
    let scale = chosen.reduce(1) { $0 + $1.weight.magnitude * (rows[$1.expert].map(\.magnitude).max() ?? 0) }
    if agree(output, expected, scale: scale) { return }
    let soft = RoutingDistribution(logits: call.logits[0]).probabilities.enumerated().map { (expert: $0, weight: $1) }
    let words = agree(output, mixed(soft), scale: scale) ? "; it is the dense mixture of all experts" : ""
    throw .refuted(
      "\(Words.call(call)), choice \(Words.list(answer.choice[0])), multipliers \(Words.list(answer.multipliers[0])): "
        + "the output is \(Words.list(output)), the weighted outputs of the chosen experts sum to "
        + "\(Words.list(expected))\(words)")
  }

  func expertInput() throws(Stop) -> String {
    guard profile.takes == .input else { throw .notApplicable("the router is given logits, not what the experts read") }
    for _ in 0..<rounds {
      let call = randomCall()
      let answer = try ask(call)
      guard let inputs = answer.expertInputs else {
        throw .undecided("the router does not report what experts received")
      }
      for (expert, input) in zip(answer.choice[0], inputs[0]) {
        let scale = call.logits[0].map(\.magnitude).max() ?? 1
        if agree(input, call.logits[0], scale: scale) { continue }
        let noisy = zip(call.logits[0], factors(call, token: 0)).map { $0 * $1 }
        let isJittered = agree(input, noisy, scale: scale)
        throw .refuted(
          "input \(Words.list(call.logits[0])): expert \(expert) received \(Words.list(input))"
            + (isJittered ? ", the router's jittered copy" : ""))
      }
    }
    return "experts received the layer's input in \(rounds) calls"
  }

  func inputsUnchanged() throws(Stop) -> String {
    for _ in 0..<rounds {
      let call = randomCall()
      let answer = try ask(call)
      guard let after = answer.logitsAfter else {
        throw .undecided("the router does not report its caller's logits after the call")
      }
      if after[0] == call.logits[0] { continue }
      throw .refuted("\(Words.call(call)): afterwards the caller has \(Words.list(after[0]))")
    }
    return "the caller's numbers were the same after \(rounds) calls"
  }
}

// MARK: - Extreme values

extension LintSession {
  func extremeValues() throws(Stop) -> String {
    // The least and the largest draw that generators give in the declared precision: multiples of 2⁻²⁴ or 2⁻⁵³ from [0, 1).
    let least = profile.precision == .float32 ? 0x1p-24 : 0x1p-53
    let draws: [(String, Double)] = [("0", 0), ("the least above 0", least), ("the largest below 1", 1 - least)]
    for (name, draw) in draws {
      for place in [nil] + (0..<min(profile.uniforms, 2 * profile.experts + 2)).map(Optional.some) {
        guard profile.uniforms > 0 else { break }
        var call = randomCall()
        for k in call.uniforms[0].indices where place == nil || place == k { call.uniforms[0][k] = draw }
        let which = place.map { "draw \($0)" } ?? "every draw"
        try askExtreme(call, "\(which) is \(name)")
      }
    }
    let count = profile.experts
    let isExponential = specification.score.function == .exp && specification.gate?.source == .score
    let (size, words) = isExponential ? (40.0, "40") : (1e4, "10⁴")
    var patterns: [(String, [Double])] = [
      ("logits of ±\(words)", (0..<count).map { $0 % 2 == 0 ? size : -size }),
      ("one logit of \(words)", (0..<count).map { $0 == count / 2 ? size : 0.25 * Double($0) }),
      ("logits around −\(words)", (0..<count).map { -size - Double($0) }),
      ("logits that are all equal", [Double](repeating: 0.5, count: count)),
      ("logits that are all 0", [Double](repeating: 0, count: count)),
    ]
    // An identity matrix makes NaN, and no mask, of an input of −∞; a forced choice knows of no mask.
    var isForced = false
    if case .forced = specification.selection { isForced = true }
    if count > profile.topK, profile.takes == .logits, !isForced {
      let plain = randomCall().logits[0]
      let optional = plain.indices.dropLast(specification.alwaysChosen)
      for masked in [0, optional.count - 1, optional.max { plain[$0] < plain[$1] } ?? 0] {
        var logits = plain
        logits[masked] = -.infinity
        patterns.append(("logit \(masked) of −∞", logits))
      }
    }
    for (name, logits) in patterns {
      for _ in 0..<(profile.draws ? 2 : 1) {
        var call = randomCall()
        call.logits = [logits]
        try askExtreme(call, name)
      }
      guard profile.uniforms > 0 else { continue }
      var call = randomCall()
      call.logits = [logits]
      call.uniforms[0] = call.uniforms[0].map { _ in 0 }
      try askExtreme(call, "\(name), every draw is 0")
    }
    return "finite answers to \(calls) calls with extreme draws and logits"
  }

  /// Asks, and looks for what a masked expert got; that answers are finite has been seen to.
  private func askExtreme(_ call: RouterCall, _ name: String) throws(Stop) {
    // What the specification itself makes no number of, no router need: sigmoids of −10⁴, divided by their sum.
    if let own = reference.answer(to: call), own.firstNotFinite != nil, specification.gate != nil { return }
    let answer: RouterAnswer
    do throws(Stop) {
      answer = try ask(call)
    } catch {
      guard case .refuted(let words) = error else { throw error }
      throw .refuted("\(name): \(words)")
    }
    let choice = answer.choice[0]
    if Set(choice).count < choice.count {
      throw .refuted("\(name): \(Words.call(call)): an expert is chosen twice, choice \(Words.list(choice))")
    }
    for (k, logit) in call.logits[0].enumerated() where logit == -.infinity {
      if choice.contains(k) {
        throw .refuted("\(name): \(Words.call(call)): expert \(k) is chosen, which the caller masked")
      }
      if gradient(answer)[0][k] != 0 {
        throw .refuted(
          "\(name): \(Words.call(call)): the masked expert \(k) gets the gradient \(Words.number(gradient(answer)[0][k]))"
        )
      }
    }
  }
}
