// The checks on the router's gradient, and on the answers' repeatability that they stand on.

extension LintSession {
  func repeatability() throws(Stop) -> String {
    for _ in 0..<3 {
      let call = randomCall()
      let first = try ask(call)
      for _ in 1..<4 {
        guard let difference = difference(first, try ask(call), to: call) else { continue }
        throw .refuted(
          "\(Words.call(call)), the same call again with the same draws: \(difference); the router draws "
            + "numbers that are not forced")
      }
    }
    return "three calls, asked four times each, got the same answers"
  }

  func routerGradient() throws(Stop) -> String {
    var constant = true
    var last = ""
    for _ in 0..<rounds {
      let call = randomCall()
      let answer = try ask(call)
      let gradient = self.gradient(answer)[0]
      let scale = gradientScale(call, token: 0, choice: answer.choice[0])
      if gradient.contains(where: { $0.magnitude > profile.tolerance * scale }) {
        return "a gradient of \(Words.number(gradient.map(\.magnitude).max() ?? 0)) on \(Words.call(call))"
      }
      constant = constant && answer.multipliers[0].allSatisfy { ($0 - 1).magnitude <= profile.tolerance }
      last =
        "\(Words.call(call)), choice \(Words.list(answer.choice[0])), multipliers "
        + Words.list(answer.multipliers[0])
    }
    let why =
      constant && profile.mask.threshold == nil
      ? "; the multiplier is 1 whatever the logits are: a softmax over the chosen expert alone"
      : constant ? "; the multiplier is 1 whatever the logits are: the mask leaves one expert" : ""
    throw .refuted("the gradient is zero in all of \(rounds) calls, the last \(last)\(why)")
  }

  func gradientEntries() throws(Stop) -> String {
    // A router that samples may choose otherwise for permuted experts with the same draws: what is compared is the
    // gradient given choice and multipliers, over several draws.
    let attempts = profile.uniforms == 0 ? 1 : 12
    var compared = 0
    var isZero = true
    for _ in 0..<4 {
      let call = randomCall()
      var order = Array(0..<profile.experts)
      repeat { order.shuffle(using: &generator) } while order == Array(0..<profile.experts)
      var plain: [RouterAnswer] = []
      for attempt in 0..<attempts {
        let original = drawing(call)
        plain.append(try ask(original))
        let layout = attempt < Self.layouts.count ? Self.layouts[attempt] : nil
        let answer = try ask(permuted(layout == nil ? drawing(call) : original, order, layout ?? (0, 1)))
        let partners = plain.filter { isPartner($0, answer, order) }
        if attempts == 1, partners.isEmpty {
          throw .refuted(
            "\(Words.call(call)): experts \(Words.list(plain[0].choice[0])) are chosen with multipliers "
              + "\(Words.list(plain[0].multipliers[0])); the same experts in the order \(Words.list(order)) give "
              + "\(Words.list(answer.choice[0].map { order[$0] })) with \(Words.list(answer.multipliers[0]))")
        }
        for partner in partners {
          compared += 1
          isZero = isZero && gradient(partner)[0].allSatisfy { $0 == 0 }
          let expected = order.map { gradient(partner)[0][$0] }
          let scale = gradientScale(call, token: 0, choice: partner.choice[0])
          guard agree(gradient(answer)[0], expected, scale: scale) else {
            throw .refuted(
              "\(Words.call(call)), choice \(Words.list(partner.choice[0])): the gradient is "
                + "\(Words.list(gradient(partner)[0])), but with the experts in the order \(Words.list(order)) it is "
                + "\(Words.list(gradient(answer)[0])) instead of \(Words.list(expected))")
          }
        }
      }
    }
    guard compared > 0 else {
      throw .undecided("in \(calls) calls no choice of the router came back with its experts in another order")
    }
    if isZero { throw .undecided("all of \(compared) gradients compared were zero") }
    return "\(compared) gradients moved with their experts"
  }

  func gradientSum() throws(Stop) -> String {
    var isZero = true
    for _ in 0..<rounds {
      let call = randomCall()
      let answer = try ask(call)
      var gradient = self.gradient(answer)[0]
      isZero = isZero && gradient.allSatisfy { $0 == 0 }
      var name = "Σ ĝ_k"
      if case .logits = profile.jitter {
        gradient = zip(gradient, jitter(call, token: 0)).map { $0 / $1 }
        name = "Σ ĝ_k/u_k"
      }
      let sum = gradient.reduce(0, +)
      let scale = gradientScale(call, token: 0, choice: answer.choice[0])
      if sum.magnitude > profile.tolerance * scale {
        let words =
          "\(Words.call(call)), choice \(Words.list(answer.choice[0])): \(name) is \(Words.number(sum)), "
          + "gradient \(Words.list(self.gradient(answer)[0]))"
        guard profile.gates != .other else {
          throw .undecided("\(words); that is a fault of a softmax's gradient only, and the gates are not described")
        }
        throw .refuted(words)
      }
    }
    if isZero { throw .undecided("the gradient was zero in all of \(rounds) calls") }
    return "the entries sum to zero in \(rounds) calls"
  }

  func gateOrder() throws(Stop) -> String {
    guard profile.gates != .other else { throw .undecided("the router does not say what its gates are") }
    for _ in 0..<rounds {
      let call = randomCall()
      let answer = try ask(call)
      let choice = answer.choice[0]
      try requireTop(choice, call)
      guard let gates = gates(call, token: 0, choice: choice) else { continue }
      for (place, (gate, multiplier)) in zip(gates, answer.multipliers[0]).enumerated() {
        let isGate = profile.outputScales.contains {
          ($0 * gate.value - multiplier).magnitude <= profile.tolerance * max($0, 1)
        }
        if isGate { continue }
        throw .refuted(
          "\(Words.call(call)), choice \(Words.list(choice)): multiplier \(place) is \(Words.number(multiplier)), "
            + "\(profile.gates.rawValue) gates are \(Words.number(gate.value))\(resemblance(answer, call))")
      }
    }
    return "multipliers are the \(profile.gates.rawValue) gates in \(rounds) calls"
  }

  /// A router without draws takes the top of the logits.
  private func requireTop(_ choice: [Int], _ call: RouterCall) throws(Stop) {
    guard profile.uniforms == 0, profile.capacity == nil, !profile.routesJointly else { return }
    let logits = call.logits[0]
    let top = logits.indices.sorted { logits[$0] > logits[$1] }.prefix(profile.topK)
    guard Set(choice) == Set(top) else {
      throw .refuted(
        "\(Words.call(call)): chosen are \(Words.list(choice)), the largest logits are those of "
          + Words.list(Array(top)))
    }
  }

  /// Which other gates multipliers are, if any.
  private func resemblance(_ answer: RouterAnswer, _ call: RouterCall) -> String {
    let choice = answer.choice[0]
    for other in RouterProfile.Gates.allCases where other != profile.gates {
      if other == .sequential, choice.count > 2 { continue }
      var declared = profile
      declared.gates = other
      let session = LintSession(ClosureRouter(declared) { _ in answer }, check: .gateOrder, seed: 0)
      guard let gates = session.gates(call, token: 0, choice: choice) else { continue }
      if agree(answer.multipliers[0], gates.map(\.value), scale: 1) {
        return other == .renormalized
          ? "; it is the softmax over the chosen experts alone (top-k before softmax)"
          : "; it is the gate of the kind \"\(other.rawValue)\""
      }
    }
    return ""
  }

  func gateGradient() throws(Stop) -> String {
    guard profile.gates != .other else { throw .undecided("the router does not say what its gates are") }
    for _ in 0..<rounds {
      let call = randomCall()
      let answer = try ask(call)
      let choice = answer.choice[0]
      guard let gates = gates(call, token: 0, choice: choice) else { continue }
      let expected = gradient(of: gates, call, token: 0)
      let found = gradient(answer)[0]
      let scale = gradientScale(call, token: 0, choice: choice)
      if agree(found, expected, scale: scale) { continue }
      let ratio = dot(found, expected) / dot(expected, expected)
      let isMultiple = ratio.magnitude > 1e-6 && agree(found, expected.map { ratio * $0 }, scale: scale)
      let factor = isMultiple ? ", \(Words.number(ratio)) times what it should be" : ""
      throw .refuted(
        "\(Words.call(call)), choice \(Words.list(choice)): the gradient is \(Words.list(found)), that of "
          + "\(profile.gates.rawValue) gates \(Words.list(expected))\(factor)")
    }
    return "gradients are those of \(profile.gates.rawValue) gates in \(rounds) calls"
  }
}

// MARK: - Experts in another order

extension LintSession {
  /// The same call with other draws, but the same jitter.
  private func drawing(_ call: RouterCall) -> RouterCall {
    let kept = profile.jitter == .none ? 0 : profile.experts
    var drawn = call
    drawn.uniforms = [Array(call.uniforms[0].prefix(kept)) + draws().dropFirst(kept)]
    return drawn
  }

  /// How routers with one draw for each expert take them: block after block; with a coin after each block; the same after a
  /// block of jitter. As the block where these begin, and the draws between two of them.
  private static let layouts: [(first: Int, coins: Int)?] = [(0, 0), (0, 1), (1, 1)]

  /// The call whose expert k is what `order[k]` was. Draws move along where a layout says that they belong to experts.
  private func permuted(_ call: RouterCall, _ order: [Int], _ layout: (first: Int, coins: Int)) -> RouterCall {
    var permuted = call
    permuted.logits = [order.map { call.logits[0][$0] }]
    permuted.expertOutputs = [order.map { call.expertOutputs[0][$0] }]
    let starts = [0] + stride(from: layout.first * order.count, to: profile.uniforms, by: order.count + layout.coins)
    for start in starts where start + order.count <= profile.uniforms {
      for (k, i) in order.enumerated() { permuted.uniforms[0][start + k] = call.uniforms[0][start + i] }
    }
    return permuted
  }

  /// Whether an answer to the permuted call chose the same experts with the same multipliers.
  private func isPartner(_ plain: RouterAnswer, _ permuted: RouterAnswer, _ order: [Int]) -> Bool {
    permuted.choice[0].map { order[$0] } == plain.choice[0]
      && agree(permuted.multipliers[0], plain.multipliers[0], scale: 1)
  }

  private func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
}
