import RouterSpecifications

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
    if specification.gate?.source == .one { throw .notApplicable("its gates are 1, which teach the router nothing") }
    var constant = true
    var last = ""
    for _ in 0..<rounds {
      let call = randomBatch()
      let answer = try ask(call)
      let gradient = self.gradient(answer)[0]
      let scale = gradientScale(call, answer, token: 0)
      if gradient.contains(where: { $0.magnitude > profile.tolerance * scale }) {
        return "a gradient of \(Words.number(gradient.map(\.magnitude).max() ?? 0)) on \(Words.call(call))"
      }
      constant = constant && answer.multipliers[0].allSatisfy { ($0 - 1).magnitude <= profile.tolerance }
      last =
        "\(Words.call(call)), choice \(Words.list(answer.choice[0])), multipliers "
        + Words.list(answer.multipliers[0])
    }
    let why =
      constant && specification.mask.threshold == nil
      ? "; the multiplier is 1 whatever the logits are: a softmax over the chosen expert alone"
      : constant ? "; the multiplier is 1 whatever the logits are: the mask leaves one expert" : ""
    throw .refuted("the gradient is zero in all of \(rounds) calls, the last \(last)\(why)")
  }

  func gradientEntries() throws(Stop) -> String {
    // A router that samples may choose otherwise for permuted experts with the same draws: what is compared is the
    // gradient given choice and multipliers, over several draws.
    guard !specification.selection.isJoint else {
      throw .notApplicable("the router declares that tokens compete for experts")
    }
    let attempts = profile.draws ? 12 : 1
    var compared = 0
    var isZero = true
    for _ in 0..<4 {
      let call = randomCall()
      let order = randomOrder()
      var plain: [RouterAnswer] = []
      for attempt in 0..<attempts {
        let original = drawing(call)
        plain.append(try ask(original))
        let layout = attempt < Self.layouts.count ? Self.layouts[attempt] : nil
        let answer = try ask(permuted(layout == nil ? drawing(call) : original, order, layout ?? (0, 1)))
        let partners = plain.filter { isPartner($0, answer, order) }
        if attempts == 1, partners.isEmpty, reference.margin(of: original) > leastMargin {
          throw .refuted(
            "\(Words.call(call)): experts \(Words.list(plain[0].choice[0])) are chosen with multipliers "
              + "\(Words.list(plain[0].multipliers[0])); the same experts in the order \(Words.list(order)) give "
              + "\(Words.list(answer.choice[0].map { order[$0] })) with \(Words.list(answer.multipliers[0]))")
        }
        for partner in partners {
          compared += 1
          isZero = isZero && gradient(partner)[0].allSatisfy { $0 == 0 }
          let expected = order.map { gradient(partner)[0][$0] }
          let scale = gradientScale(call, partner, token: 0)
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
    guard !isZero || specification.gate?.source == .one else {
      throw .undecided("all of \(compared) gradients compared were zero")
    }
    return "\(compared) gradients moved with their experts"
  }

  func gradientSum() throws(Stop) -> String {
    if specification.gate?.source == .one { throw .notApplicable("its gates are 1, which have no gradient") }
    if specification.hasShiftInvariantGates == false {
      throw .notApplicable("\(specification.gateWords) gates do see a constant in the logits")
    }
    var isZero = true
    for _ in 0..<rounds {
      let call = randomBatch()
      let answer = try ask(call)
      var gradient = self.gradient(answer)[0]
      isZero = isZero && gradient.allSatisfy { $0 == 0 }
      var name = "Σ ĝ_k"
      if specification.noise?.kind == .uniform, specification.noise?.reachesGates == true {
        gradient = zip(gradient, factors(call, token: 0)).map { $0 / $1 }
        name = "Σ ĝ_k/u_k"
      }
      let sum = gradient.reduce(0, +)
      let scale = gradientScale(call, answer, token: 0)
      if sum.magnitude > profile.tolerance * scale {
        let words =
          "\(Words.call(call)), choice \(Words.list(answer.choice[0])): \(name) is \(Words.number(sum)), "
          + "gradient \(Words.list(self.gradient(answer)[0]))"
        guard specification.gate != nil else {
          throw .undecided("\(words); that is a fault of a softmax's gradient only, and the gates are not described")
        }
        throw .refuted(words)
      }
    }
    if isZero { throw .undecided("the gradient was zero in all of \(rounds) calls") }
    return "the entries sum to zero in \(rounds) calls"
  }

  func gateOrder() throws(Stop) -> String {
    guard specification.gate != nil else { throw .undecided("the router does not say what its gates are") }
    for _ in 0..<rounds {
      let call = randomBatch()
      try require([.multipliers], of: try ask(call), to: call)
    }
    return "multipliers are the \(specification.gateWords) gates in \(rounds) calls"
  }

  func gateGradient() throws(Stop) -> String {
    guard specification.gate != nil else { throw .undecided("the router does not say what its gates are") }
    for _ in 0..<rounds {
      let call = randomBatch()
      try require([.gradient], of: try ask(call), to: call)
    }
    return "gradients are those of \(specification.gateWords) gates in \(rounds) calls"
  }
}

// MARK: - Experts in another order

extension LintSession {
  /// The experts in another order: groups change places as a whole and within; null experts, and those that every token has,
  /// stay.
  private func randomOrder() -> [Int] {
    let real = profile.experts - max(specification.nullExperts?.count ?? 0, specification.alwaysChosen)
    let size = specification.groups.map { profile.experts / $0.count } ?? real
    var generator = self.generator
    defer { self.generator = generator }
    guard specification.nullExperts == nil || specification.groups == nil, real > 1 else {
      return Array(0..<profile.experts)
    }
    while true {
      var groups = stride(from: 0, to: real, by: size).map { Array($0..<min($0 + size, real)) }
      if groups.count > 1 { groups.shuffle(using: &generator) }
      for k in groups.indices { groups[k].shuffle(using: &generator) }
      let order = groups.flatMap(\.self) + Array(real..<profile.experts)
      if order != Array(0..<profile.experts) { return order }
    }
  }

  /// The same call with other draws, but the same noise.
  private func drawing(_ call: RouterCall) -> RouterCall {
    var drawn = call
    let kept = specification.noise?.kind.takesUniforms == true ? profile.experts : 0
    drawn.uniforms = [Array(call.uniforms[0].prefix(kept)) + draws().dropFirst(kept)]
    if profile.normals > profile.experts {
      drawn.normals = [Array(call.normals?[0].prefix(profile.experts) ?? []) + normals().dropFirst(profile.experts)]
    }
    return drawn
  }

  /// How routers with one draw for each expert take them: block after block; with a coin after each block; the same after a
  /// block of jitter. As the block where these begin, and the draws between two of them.
  private static let layouts: [(first: Int, coins: Int)?] = [(0, 0), (0, 1), (1, 1)]

  /// The call whose expert k is what `order[k]` was, with all that belongs to experts. Draws move along where a layout says
  /// that they do.
  private func permuted(_ call: RouterCall, _ order: [Int], _ layout: (first: Int, coins: Int)) -> RouterCall {
    var permuted = call
    func move<Entry>(_ row: [Entry]) -> [Entry] { order.map { row[$0] } }
    permuted.logits = call.logits.map(move)
    permuted.expertOutputs = call.expertOutputs.map(move)
    permuted.normals = call.normals.map { $0.map { move(Array($0.prefix(order.count))) + $0.dropFirst(order.count) } }
    permuted.noiseLogits = call.noiseLogits.map { $0.map(move) }
    permuted.bias = call.bias.map(move)
    permuted.expertScales = call.expertScales.map(move)
    permuted.functions = call.functions.map(move)
    permuted.globalCounts = call.globalCounts.map(move)
    permuted.choice = call.choice.map { $0.map { $0.map { order.firstIndex(of: $0) ?? $0 } } }
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
}
