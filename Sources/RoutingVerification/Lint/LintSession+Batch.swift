import RouterSpecifications
import RoutingCore

// The checks that look at batches, at invariances and at evaluation.

extension LintSession {
  func auxiliaryLoss() throws(Stop) -> String {
    var worst = (low: Double.infinity, high: -Double.infinity)
    for (pattern, call) in try auxiliaryCalls() {
      let answer = try ask(call)
      guard let loss = answer.auxiliaryLoss else {
        throw .undecided("the router declares an auxiliary loss and does not report it")
      }
      worst = (min(worst.low, loss), max(worst.high, loss))
      try requireLosses([.auxiliaryLoss], of: answer, to: call, pattern)
    }
    return "the declared losses on 5 batches, from \(Words.number(worst.low)) to \(Words.number(worst.high))"
  }

  /// Batches on which auxiliary losses are looked at.
  func auxiliaryCalls() throws(Stop) -> [(pattern: String, call: RouterCall)] {
    guard !specification.auxiliaryLosses.isEmpty else { throw .notApplicable("the router declares no auxiliary loss") }
    if case .unstated(_, true, _) = specification.selection {
      throw .undecided("tokens compete for experts, and f counts choices before that, which are not reported")
    }
    let tokens = min(8, specification.capacity?.limit ?? 8)
    return ["random", "uniform", "collapsed", "random", "random"].map { pattern in
      var call = randomCall(tokens: tokens)
      let count = profile.experts
      switch pattern {
      case "uniform": call.logits = call.logits.map { _ in [Double](repeating: 0.5, count: count) }
      case "collapsed":
        call.logits = call.logits.map { _ in (0..<count).map { $0 == 1 ? 40 : -Double($0) / 16 } }
      default: break
      }
      return ("\(pattern) routing of \(tokens) tokens", call)
    }
  }

  /// Throws if a loss is not the declared one, given the choice, whether the gate is stated or not.
  func requireLosses(
    _ parts: [AnswerDifference.Part], of answer: RouterAnswer, to call: RouterCall, _ name: String
  ) throws(Stop) {
    guard let expected = reference.answer(to: call, given: answer.choice) else { return }
    guard let difference = comparison.difference(answer, from: expected, to: call, in: parts) else { return }
    throw .refuted("\(name), \(Words.call(call)): \(difference)\(resemblance(answer, call))")
  }

  func capacity() throws(Stop) -> String {
    guard let capacity = specification.capacity?.limit else { throw .notApplicable("the router declares no capacity") }
    var turnedAway = 0
    for _ in 0..<4 {
      var call = randomCall(tokens: capacity + 2)
      var generator = self.generator
      let favourite = Int.random(in: 0..<profile.experts, using: &generator)
      self.generator = generator
      for t in 0..<call.tokens { call.logits[t][favourite] = 6 }
      let answer = try ask(call)
      var load = [Int](repeating: 0, count: profile.experts)
      for t in 0..<call.tokens {
        for expert in answer.choice[t] { load[expert] += 1 }
        if !specification.selection.mayBeFewer { turnedAway += profile.topK - answer.choice[t].count }
        guard answer.choice[t].isEmpty else { continue }
        if let output = answer.output?[t], output.contains(where: { $0 != 0 }) {
          throw .refuted(
            "\(Words.call(call)): token \(t) is turned away, its output is \(Words.list(output))\(resemblance(answer, call))"
          )
        }
        if gradient(answer)[t].contains(where: { $0 != 0 }) {
          throw .refuted(
            "\(Words.call(call)): token \(t) is turned away, its gradient is "
              + "\(Words.list(gradient(answer)[t]))\(resemblance(answer, call))")
        }
      }
      if let crowded = load.firstIndex(where: { $0 > capacity }) {
        throw .refuted(
          "\(call.tokens) tokens, \(Words.call(call)): expert \(crowded) takes \(load[crowded]) tokens, its capacity "
            + "is \(capacity)\(resemblance(answer, call))")
      }
    }
    guard turnedAway > 0 else { throw .undecided("no batch filled an expert, so that nothing was turned away") }
    return "\(turnedAway) choices turned away in 4 batches, none over the capacity of \(capacity)"
  }

  func tokenIndependence() throws(Stop) -> String {
    guard !specification.selection.isJoint else {
      throw .notApplicable("the router declares that tokens compete for experts")
    }
    let tokens = min(4, specification.capacity?.limit ?? 4)
    guard tokens > 1 else { throw .notApplicable("with a capacity of one token, tokens do depend on each other") }
    for _ in 0..<4 {
      let call = randomCall(tokens: tokens)
      let together = try ask(call)
      for t in 0..<tokens {
        let single = call.selecting([t])
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
    if specification.mask.threshold != nil {
      throw .notApplicable("its mask compares the sizes of logits, which no shift leaves alone; that is no fault")
    }
    if specification.hasMultiplicativeNoise {
      throw .notApplicable("multiplicative jitter does not leave shifts alone; that is no fault")
    }
    if specification.hasShiftInvariantGates == false {
      throw .notApplicable("\(specification.gateWords) gates do see a constant in the logits")
    }
    if specification.gate != nil, !specification.hasShiftInvariantChoice {
      throw .notApplicable("its choice does see a constant in the logits")
    }
    for shift in [8.0, -8, 0.5] {
      let call = randomBatch()
      var shifted = call
      shifted.logits = call.logits.map { row in row.map { $0 + shift } }
      let answer = try ask(call)
      guard let difference = difference(answer, try ask(shifted), to: call) else { continue }
      let words = "\(Words.call(call)), and all of them shifted by \(Words.number(shift)): \(difference)"
      guard specification.gate != nil else {
        throw .undecided("\(words); that is a fault of softmax gates only, and the gates are not described")
      }
      throw .refuted(words)
    }
    return "shifts by 8, −8 and ½ changed nothing"
  }

  func evaluationMode() throws(Stop) -> String {
    guard profile.draws else { throw .notApplicable("the router draws no numbers") }
    for _ in 0..<12 {
      let call = randomCall(mode: .eval)
      let answer = try ask(call)
      for draw in [nil, 0.03125, 0.96875] {
        var other = call
        other.uniforms = [draws().map { draw ?? $0 }]
        if profile.normals > 0 { other.normals = [normals().map { n in draw.map { 8 * $0 - 4 } ?? n }] }
        let second = try ask(other)
        if let difference = difference(answer, second, to: call, gradientsToo: false) {
          let words = resemblance(second, other)
          throw .refuted(
            "\(Words.call(call)), with other draws: \(difference)\(words.isEmpty ? resemblance(answer, call) : words)")
        }
      }
      guard specification.gate != nil, reference.margin(of: call) > leastMargin, let own = reference.answer(to: call)
      else { continue }
      guard Set(answer.choice[0]) == Set(own.choice[0]) else {
        throw .refuted(
          "\(Words.call(call)): chosen are \(Words.list(answer.choice[0])), the largest keys are those of "
            + "\(Words.list(own.choice[0]))\(resemblance(answer, call))")
      }
    }
    return "48 calls in evaluation mode did not depend on their draws"
  }
}
