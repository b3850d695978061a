import RoutingCore

/// One check's dealings with the router: it makes calls, counts them, and has every answer looked at.
final class LintSession {
  let router: any ForeignRouter
  let profile: RouterProfile
  private(set) var calls = 0
  var generator: Philox

  /// Random calls depend on seed and check alone.
  init(_ router: any ForeignRouter, check: LintCheck, seed: UInt64) {
    self.router = router
    profile = router.profile
    let stream = LintCheck.allCases.firstIndex(of: check) ?? 0
    generator = Philox(seed: seed, stream: UInt64(stream))
  }

  /// How a check ends early.
  enum Stop: Error {
    case failure(RouterFailure)
    case refuted(String)
    case undecided(String)
    case notApplicable(String)
  }

  /// The answer to a call.
  ///
  /// - Throws: `failure` if there is none of the right shape, `refuted` if an expert does not exist or a number is not
  ///   finite.
  func ask(_ call: RouterCall) throws(Stop) -> RouterAnswer {
    calls += 1
    let answer: RouterAnswer
    do throws(RouterFailure) {
      answer = try router.route(call)
      try answer.requireFit(call, of: profile)
    } catch {
      throw .failure(error)
    }
    if let path = answer.firstNotFinite {
      throw .refuted("\(Words.call(call)): \(path) is not a finite number")
    }
    for (t, row) in answer.choice.enumerated() {
      if let stranger = row.first(where: { !(0..<profile.experts).contains($0) }) {
        throw .refuted("\(Words.call(call)): token \(t) goes to expert \(stranger), of 0 to \(profile.experts - 1)")
      }
    }
    return answer
  }

  /// The gradient of an answer in training mode, which has one.
  func gradient(_ answer: RouterAnswer) -> [[Double]] { answer.gradient ?? [] }
}

// MARK: - Random calls

extension LintSession {
  /// How many random calls a check makes unless it has a reason for another number. What goes wrong in one draw of four
  /// goes unseen in 64 calls once in 10⁸ times.
  var rounds: Int { profile.uniforms == 0 ? 8 : 64 }
  /// d of random calls.
  static let width = 3

  /// A random call. All numbers are exact in Float32, so that the router's rounding is its own; no two logits of a token
  /// are equal; and where there is a mask about half of the experts are within it.
  func randomCall(tokens: Int = 1, mode: RouterCall.Mode = .train) -> RouterCall {
    RouterCall(
      mode: mode, logits: (0..<tokens).map { _ in randomLogits() },
      expertOutputs: (0..<tokens).map { _ in (0..<profile.experts).map { _ in reals(Self.width) } },
      upstream: (0..<tokens).map { _ in reals(Self.width) }, uniforms: (0..<tokens).map { _ in draws() })
  }

  /// Uniform draws for one token.
  func draws() -> [Double] {
    (0..<profile.uniforms).map { _ in (Double(generator.next() >> 52) + 0.5) / 4096 }
  }

  /// Multiples of 1/64 from (−2, 2), none of them 0.
  private func reals(_ count: Int) -> [Double] {
    (0..<count).map { _ in
      let magnitude = Double(generator.next() % 127 + 1) / 64
      return generator.next() & 1 == 0 ? magnitude : -magnitude
    }
  }

  private func randomLogits() -> [Double] {
    let count = profile.experts
    var ranks = Array(0..<count)
    ranks.shuffle(using: &generator)
    guard let threshold = profile.mask.threshold, threshold > 0 else {
      // Distinct by at least 1/16 for up to 64 experts.
      return ranks.map { rank in
        let step = max(4 / Double(count), 1.0 / 64)
        let value = (Double(rank) - Double(count) / 2) * step + step / 4 * Double(generator.next() % 3)
        return (value * 64).rounded() / 64 + Double(rank) / 4096
      }
    }
    // θ* = 4. At a distance of up to 4r both rules keep an expert, from 16r on neither does; at 9.6r it is out, but in once
    // the first expert is taken and the maximum falls.
    return ranks.map { rank in
      let place = Double(rank) / Double(count)
      let distance =
        switch rank {
        case 0: 0.0
        case ...(count / 2): 3 + place
        case count / 2 + 1: 9.6
        default: 16 + place
        }
      return Double(Float(4 - threshold * distance))
    }
  }
}

// MARK: - What sound routers answer

extension LintSession {
  /// `u` of a token, `[experts]`; ones without jitter.
  func jitter(_ call: RouterCall, token: Int) -> [Double] {
    guard let width = profile.jitter.width, call.mode == .train else {
      return [Double](repeating: 1, count: profile.experts)
    }
    return call.uniforms[token].prefix(profile.experts).map { 1 - width + 2 * width * $0 }
  }

  /// The logits that gates are made of.
  func noisyLogits(_ call: RouterCall, token: Int) -> [Double] {
    zip(call.logits[token], jitter(call, token: token)).map { $0 * $1 }
  }

  /// The declared gates of chosen experts, each with the distribution it comes from; nil where gates are not described.
  func gates(_ call: RouterCall, token: Int, choice: [Int]) -> [Gate]? {
    if choice.isEmpty { return profile.gates == .other ? nil : [] }
    let logits = noisyLogits(call, token: token)
    switch profile.gates {
    case .other: return nil
    case .softmax:
      let p = RoutingDistribution(logits: logits, mask: profile.mask).probabilities
      return choice.map { Gate(expert: $0, distribution: p) }
    case .renormalized:
      let p = RoutingDistribution(logits: choice.map { logits[$0] }).probabilities
      var spread = [Double](repeating: 0, count: logits.count)
      for (place, expert) in choice.enumerated() { spread[expert] = p[place] }
      return choice.map { Gate(expert: $0, distribution: spread) }
    case .sequential:
      return choice.enumerated().map { place, expert in
        let excluded = place == 0 ? nil : choice[0]
        let p = RoutingDistribution(logits: logits, mask: profile.mask, excluding: excluded).probabilities
        return Gate(expert: expert, distribution: p)
      }
    }
  }

  /// A gate: the probability of an expert, and the softmax that it is an entry of.
  struct Gate {
    var expert: Int
    var distribution: [Double]
    var value: Double { distribution[expert] }
  }

  /// `factor · Σ_{i ∈ A} (∂L/∂y·f_i) π_i (I_i − π)`, with the jitter's factor where the noise is on the logits.
  func gradient(of gates: [Gate], _ call: RouterCall, token: Int) -> [Double] {
    var gradient = [Double](repeating: 0, count: profile.experts)
    for gate in gates {
      let slope = profile.gradientFactor * slope(call, token: token, expert: gate.expert)
      for k in gradient.indices {
        gradient[k] += slope * gate.value * ((k == gate.expert ? 1 : 0) - gate.distribution[k])
      }
    }
    guard case .logits = profile.jitter else { return gradient }
    return zip(gradient, jitter(call, token: token)).map { $0 * $1 }
  }

  /// `∂L/∂y · f_i`.
  private func slope(_ call: RouterCall, token: Int, expert: Int) -> Double {
    zip(call.upstream[token], call.expertOutputs[token][expert]).reduce(0) { $0 + $1.0 * $1.1 }
  }

  /// What a gradient's rounding is relative to: `factor · Σ_{i ∈ A} Σ_j |∂L/∂y_j f_ij|`.
  func gradientScale(_ call: RouterCall, token: Int, choice: [Int]) -> Double {
    var scale = 0.0
    for expert in choice {
      for (a, b) in zip(call.upstream[token], call.expertOutputs[token][expert]) { scale += (a * b).magnitude }
    }
    return max(1, profile.gradientFactor) * max(scale, .leastNormalMagnitude)
  }

  /// Whether two lists agree to rounding at this scale.
  func agree(_ a: [Double], _ b: [Double], scale: Double) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { ($0 - $1).magnitude <= profile.tolerance * scale }
  }
}
