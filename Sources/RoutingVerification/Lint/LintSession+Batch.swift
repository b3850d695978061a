import RoutingCore

// The checks that look at batches, at invariances and at evaluation.

extension LintSession {
  func auxiliaryLoss() throws(Stop) -> String {
    guard let declared = profile.auxiliaryLoss else { throw .notApplicable("the router declares no auxiliary loss") }
    guard !profile.routesJointly else {
      throw .undecided("tokens compete for experts, and f counts choices before that, which are not reported")
    }
    let tokens = min(8, profile.capacity ?? 8)
    var worst = (low: Double.infinity, high: -Double.infinity)
    for pattern in ["random", "uniform", "collapsed", "random", "random"] {
      var call = randomCall(tokens: tokens)
      let count = profile.experts
      switch pattern {
      case "uniform": call.logits = call.logits.map { _ in [Double](repeating: 0.5, count: count) }
      case "collapsed":
        call.logits = call.logits.map { _ in (0..<count).map { $0 == 1 ? 40 : -Double($0) / 16 } }
      default: break
      }
      let answer = try ask(call)
      guard let loss = answer.auxiliaryLoss else {
        throw .undecided("the router declares an auxiliary loss and does not report it")
      }
      let expected = declared.coefficient * balance(answer, call, declared.counting) { $0 }
      let scale = declared.coefficient.magnitude * Double(count * profile.topK)
      worst = (min(worst.low, loss / declared.coefficient), max(worst.high, loss / declared.coefficient))
      if (loss - expected).magnitude <= profile.tolerance * scale { continue }
      throw .refuted(
        "\(pattern) routing of \(tokens) tokens, \(Words.call(call)): the loss is \(Words.number(loss)), "
          + "coefficient · N · Σ f_i P_i is \(Words.number(expected))\(resemblance(loss, answer, call, declared))")
    }
    return "coefficient · N · Σ f_i P_i on 5 batches, from \(Words.number(worst.low)) to \(Words.number(worst.high)) "
      + "before the coefficient"
  }

  /// `N · Σ_i f_i P_i` with P changed by `change`.
  private func balance(
    _ answer: RouterAnswer, _ call: RouterCall, _ counting: RouterProfile.AuxiliaryLoss.Counting,
    change: ([Double]) -> [Double]
  ) -> Double {
    var fractions = [Double](repeating: 0, count: profile.experts)
    var shares = fractions
    for t in 0..<call.tokens {
      let counted = counting == .first ? Array(answer.choice[t].prefix(1)) : answer.choice[t]
      for expert in counted { fractions[expert] += counting == .mean ? 1 / Double(counted.count) : 1 }
      let p = change(RoutingDistribution(logits: noisyLogits(call, token: t)).probabilities)
      for k in shares.indices { shares[k] += p[k] }
    }
    let tokens = Double(call.tokens)
    return Double(profile.experts) * zip(fractions, shares).reduce(0) { $0 + $1.0 / tokens * ($1.1 / tokens) }
  }

  /// Which other formula a loss is, if any.
  private func resemblance(
    _ loss: Double, _ answer: RouterAnswer, _ call: RouterCall, _ declared: RouterProfile.AuxiliaryLoss
  ) -> String {
    func isLoss(_ value: Double) -> Bool {
      (loss - declared.coefficient * value).magnitude
        <= profile.tolerance * declared.coefficient.magnitude * Double(profile.experts * profile.topK)
    }
    let twice = balance(answer, call, declared.counting) { RoutingDistribution(logits: $0).probabilities }
    if isLoss(twice) { return "; with a softmax of the softmax for P it is \(Words.number(loss))" }
    if isLoss(balance(answer, call, declared.counting, change: { $0 }) / Double(profile.experts)) {
      return "; the factor N is missing"
    }
    for other in RouterProfile.AuxiliaryLoss.Counting.allCases where other != declared.counting {
      if isLoss(balance(answer, call, other, change: { $0 })) {
        return "; with f counting \"\(other.rawValue)\" it is \(Words.number(loss))"
      }
    }
    return ""
  }

  func capacity() throws(Stop) -> String {
    guard let capacity = profile.capacity else { throw .notApplicable("the router declares no capacity") }
    var turnedAway = 0
    for _ in 0..<4 {
      var call = randomCall(tokens: capacity + 2)
      let favourite = Int.random(in: 0..<profile.experts, using: &generator)
      for t in 0..<call.tokens { call.logits[t][favourite] = 6 }
      let answer = try ask(call)
      var load = [Int](repeating: 0, count: profile.experts)
      for t in 0..<call.tokens {
        for expert in answer.choice[t] { load[expert] += 1 }
        turnedAway += profile.topK - answer.choice[t].count
        guard answer.choice[t].isEmpty else { continue }
        if let output = answer.output?[t], output.contains(where: { $0 != 0 }) {
          throw .refuted("\(Words.call(call)): token \(t) is turned away, its output is \(Words.list(output))")
        }
        if gradient(answer)[t].contains(where: { $0 != 0 }) {
          throw .refuted(
            "\(Words.call(call)): token \(t) is turned away, its gradient is \(Words.list(gradient(answer)[t]))")
        }
      }
      if let crowded = load.firstIndex(where: { $0 > capacity }) {
        throw .refuted(
          "\(call.tokens) tokens, \(Words.call(call)): expert \(crowded) takes \(load[crowded]) tokens, its capacity "
            + "is \(capacity)")
      }
    }
    guard turnedAway > 0 else { throw .undecided("no batch filled an expert, so that nothing was turned away") }
    return "\(turnedAway) choices turned away in 4 batches, none over the capacity of \(capacity)"
  }

  func tokenIndependence() throws(Stop) -> String {
    guard !profile.routesJointly else { throw .notApplicable("the router declares that tokens compete for experts") }
    let tokens = min(4, profile.capacity ?? 4)
    guard tokens > 1 else { throw .notApplicable("with a capacity of one token, tokens do depend on each other") }
    for _ in 0..<4 {
      let call = randomCall(tokens: tokens)
      let together = try ask(call)
      for t in 0..<tokens {
        let single = RouterCall(
          mode: call.mode, logits: [call.logits[t]], expertOutputs: [call.expertOutputs[t]],
          upstream: [call.upstream[t]], uniforms: [call.uniforms[t]])
        let alone = try ask(single)
        let row = RouterAnswer(
          choice: [together.choice[t]], multipliers: [together.multipliers[t]], gradient: [gradient(together)[t]])
        if let difference = difference(row, alone, to: single) {
          throw .refuted(
            "\(Words.call(single)), in a batch of \(tokens) and alone: \(difference)")
        }
      }
    }
    return "4 batches of \(tokens) tokens routed as each token alone"
  }

  func shiftInvariance() throws(Stop) -> String {
    if profile.mask.threshold != nil {
      throw .notApplicable("its mask compares the sizes of logits, which no shift leaves alone; that is no fault")
    }
    if profile.jitter != .none {
      throw .notApplicable("multiplicative jitter does not leave shifts alone; that is no fault")
    }
    for shift in [8.0, -8, 0.5] {
      let call = randomCall()
      var shifted = call
      shifted.logits = call.logits.map { row in row.map { $0 + shift } }
      let answer = try ask(call)
      guard let difference = difference(answer, try ask(shifted), to: call) else { continue }
      let words = "\(Words.call(call)), and all of them shifted by \(Words.number(shift)): \(difference)"
      guard profile.gates != .other else {
        throw .undecided("\(words); that is a fault of softmax gates only, and the gates are not described")
      }
      throw .refuted(words)
    }
    return "shifts by 8, −8 and ½ changed nothing"
  }

  func evaluationMode() throws(Stop) -> String {
    guard profile.uniforms > 0 else { throw .notApplicable("the router draws no numbers") }
    for _ in 0..<3 {
      let call = randomCall(mode: .eval)
      let answer = try ask(call)
      for draw in [nil, 0.03125, 0.96875] {
        var other = call
        other.uniforms = [draws().map { draw ?? $0 }]
        if let difference = difference(answer, try ask(other), to: call, gradientsToo: false) {
          throw .refuted("\(Words.call(call)), with other draws: \(difference)")
        }
      }
      guard profile.gates != .other, profile.capacity == nil, !profile.routesJointly else { continue }
      let logits = call.logits[0]
      let top = Array(logits.indices.sorted { logits[$0] > logits[$1] }.prefix(profile.topK))
      guard Set(answer.choice[0]) == Set(top) else {
        throw .refuted(
          "\(Words.call(call)): chosen are \(Words.list(answer.choice[0])), the largest logits are those of "
            + Words.list(top))
      }
    }
    return "12 calls in evaluation mode did not depend on their draws"
  }
}
