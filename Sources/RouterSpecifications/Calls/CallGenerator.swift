import RoutingCore

/// Random calls for a router of a profile, from a seed.
///
/// All numbers are exact in Float32, so that the router's rounding is its own; no two logits of a token are equal; and
/// where there is a mask about half of the experts are within it. What the specification reads is there: a bias of a
/// spread that changes choices, scales, experts as functions, sequences, counts of a larger batch.
package struct CallGenerator: Sendable {
  /// The router.
  package let profile: RouterProfile
  /// Where randomness comes from.
  package var generator: Philox
  /// d of the calls.
  package static let width = 3
  /// The width of the experts' hidden layer, where they are functions.
  static let hidden = 2

  /// Calls for a router.
  package init(for profile: RouterProfile, generator: Philox) {
    self.profile = profile
    self.generator = generator
  }

  private var specification: RouterSpecification { profile.specification }

  /// A random call.
  package mutating func call(tokens: Int = 1, mode: RouterCall.Mode = .train) -> RouterCall {
    let logits = (0..<tokens).map { _ in self.logits() }
    let outputs = (0..<tokens).map { _ in (0..<profile.experts).map { _ in reals(Self.width) } }
    let upstream = (0..<tokens).map { _ in reals(Self.width) }
    var call = RouterCall(
      mode: mode, logits: logits, expertOutputs: outputs, upstream: upstream,
      uniforms: (0..<tokens).map { _ in draws() })
    if profile.normals > 0 { call.normals = (0..<tokens).map { _ in normals() } }
    if specification.noise?.kind == .learnedNormal {
      call.noiseLogits = (0..<tokens).map { _ in reals(profile.experts) }
    }
    if specification.hasSelectionBias { call.bias = bias(atMost: 0.5) }
    if case .forced = specification.selection { call.choice = choice(tokens) }
    if specification.gate?.hasExpertScales == true {
      call.expertScales = (0..<profile.experts).map { _ in Double(generator.next() % 96 + 32) / 64 }
    }
    if specification.usesFunctions { giveFunctions(to: &call) }
    if let nulls = specification.nullExperts, !specification.usesFunctions { setNullExperts(nulls, &call) }
    if specification.auxiliaryLosses.contains(where: { $0.scope == .sequence }) {
      call.sequences = (0..<tokens).map { $0 < (tokens + 2) / 3 ? 0 : 1 }
    }
    if specification.auxiliaryLosses.contains(where: { $0.scope == .global }) {
      call.globalTokens = 3 * tokens
      call.globalCounts = (0..<profile.experts).map { _ in Double(generator.next() % UInt64(2 * tokens + 1)) }
    }
    return call
  }

  /// A random call on this many tokens, or on more where tokens compete, so that some are left out.
  package mutating func batch(_ tokens: Int = 1, mode: RouterCall.Mode = .train) -> RouterCall {
    let others =
      switch specification.selection {
      case .expertChoice(let count): min(count, 15)
      case .unstated(_, true, _): 7
      default: 0
      }
    return call(tokens: tokens + others, mode: mode)
  }

  /// Uniform draws for one token.
  package mutating func draws() -> [Double] {
    (0..<profile.uniforms).map { _ in (Double(generator.next() >> 52) + 0.5) / 4096 }
  }

  /// Normal draws for one token, in multiples of 1/64.
  package mutating func normals() -> [Double] { reals(profile.normals) }

  /// A selection bias in multiples of 2⁻¹⁰, no two of them equal.
  package mutating func bias(atMost size: Double) -> [Double] {
    var ranks = Array(0..<profile.experts)
    ranks.shuffle(using: &generator)
    return ranks.map { rank in
      let place = 2 * (Double(rank) + 0.5) / Double(profile.experts) - 1
      return (size * place * 1024).rounded() / 1024
    }
  }

  /// A choice of distinct experts for each token.
  package mutating func choice(_ tokens: Int) -> [[Int]] {
    (0..<tokens).map { _ in
      var experts = Array(0..<profile.experts)
      experts.shuffle(using: &generator)
      return Array(experts.prefix(profile.topK))
    }
  }

  private mutating func giveFunctions(to call: inout RouterCall) {
    let functions = (0..<profile.experts).map { _ in
      RouterCall.ExpertFunction(
        inner: (0..<Self.hidden).map { _ in reals(Self.width) },
        outer: (0..<Self.width).map { _ in reals(Self.hidden) },
        offset: reals(Self.width))
    }
    let inputs = (0..<call.tokens).map { _ in reals(Self.width) }
    let real = profile.experts - (specification.nullExperts?.count ?? 0)
    call.inputs = inputs
    call.functions = functions
    call.expertOutputs = inputs.map { x in
      functions.enumerated().map { i, function in
        if i < real { return function.value(at: x).value }
        return specification.nullExperts?.kind == .identity ? x : x.map { _ in 0 }
      }
    }
  }

  private mutating func setNullExperts(_ nulls: RouterSpecification.NullExperts, _ call: inout RouterCall) {
    for t in 0..<call.tokens {
      let input = nulls.kind == .identity ? reals(Self.width) : [Double](repeating: 0, count: Self.width)
      for i in (profile.experts - nulls.count)..<profile.experts { call.expertOutputs[t][i] = input }
    }
  }

  /// Multiples of 1/64 from (−2, 2), none of them 0.
  private mutating func reals(_ count: Int) -> [Double] {
    (0..<count).map { _ in
      let magnitude = Double(generator.next() % 127 + 1) / 64
      return generator.next() & 1 == 0 ? magnitude : -magnitude
    }
  }

  private mutating func logits() -> [Double] {
    let count = profile.experts
    var ranks = Array(0..<count)
    ranks.shuffle(using: &generator)
    guard let threshold = specification.mask.threshold, threshold > 0 else {
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
