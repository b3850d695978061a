import RoutingCore

/// Calls with the answers that a specification expects, few and chosen so that every mistake shows.
///
/// Of a large pool of random and adversarial calls those are left out that rounding in Float32 might decide otherwise. A
/// mistake (``RouterMistake``) that changes an answer of the pool is told apart by at least one of the vectors, by more than
/// ``margin`` tolerances; the number of those that are is the mutation score. Vectors are chosen greedily, the one that tells
/// the most mistakes apart that are left, of equals the smallest.
///
/// *Numerics*: answers are those of ``RouterReference`` in Float64. "Changes" is a difference of 10⁻⁹ relative: what less
/// makes is rounding.
///
/// *Edge cases*: where the choice is drawn in training, or by a rule that is not stated, each call says the choice.
package struct GoldenVectors: Sendable {
  /// What the answers are of.
  package let specification: RouterSpecification
  /// Where randomness came from.
  package let seed: UInt64
  /// What is compared.
  package let parts: [AnswerDifference.Part]
  /// The vectors.
  package private(set) var vectors: [GoldenVector] = []
  /// The mistakes that change an answer of the pool and are told apart by a vector.
  package private(set) var told: [RouterMistake] = []
  /// The mistakes that change an answer, but nowhere by enough to be told apart.
  package private(set) var missed: [RouterMistake] = []
  /// The mistakes in a stage that the specification has, which changed no answer of the pool.
  package private(set) var same: [RouterMistake] = []
  /// The number of calls in the pool.
  package private(set) var pool = 0

  /// The difference that tells a mistake apart, in tolerances.
  package static let margin = 8.0
  /// The least gap at a decision, relative.
  package static let leastGap = 1e-4
  /// What is forgiven, relative: 64 units of Float32.
  package static let tolerance = 64 * RouterProfile.Precision.float32.epsilon
  /// The calls of a pool, unless more is said.
  package static let standardPool = 512

  /// Vectors of a specification.
  ///
  /// - Parameters:
  ///   - specification: what to compute.
  ///   - seed: where randomness comes from.
  ///   - forwardOnly: whether gradients, losses and the bias's update are left out.
  ///   - pool: the number of calls to choose from.
  /// - Throws: `InvalidInput` if the specification is not valid, or does not state its gate.
  package init(
    of specification: RouterSpecification, seed: UInt64 = 0, forwardOnly: Bool = false, pool size: Int = standardPool
  ) throws(InvalidInput) {
    try specification.validate()
    guard specification.gate != nil else {
      throw InvalidInput("gate", "expected a gate that is stated, of which answers follow, got null")
    }
    self.specification = specification
    self.seed = seed
    parts = forwardOnly ? [.choice, .multipliers, .output] : AnswerDifference.Part.allCases
    choose(from: size)
  }

  /// How answers to the vectors are compared.
  package var comparison: AnswerComparison { .ofVectors(specification) }
}

/// One call, what is expected, and what it is for.
package struct GoldenVector: Sendable, Equatable {
  /// What is asked.
  package var call: RouterCall
  /// What a router that is as specified answers.
  package var expected: RouterAnswer
  /// The mistakes that give another answer.
  package var tells: [RouterMistake]

  /// A vector.
  package init(call: RouterCall, expected: RouterAnswer, tells: [RouterMistake]) {
    self.call = call
    self.expected = expected
    self.tells = tells
  }
}

extension AnswerComparison {
  /// How answers to golden vectors of a specification are compared: multipliers that are scores to their own size, unless
  /// noise or a score that passes through 0 loses their digits.
  package static func ofVectors(
    _ specification: RouterSpecification, tolerance: Double = GoldenVectors.tolerance
  ) -> AnswerComparison {
    let keepsDigits = ![.relu, .identity].contains(specification.score.function)
    return AnswerComparison(
      of: specification, tolerance: tolerance,
      isStrict: specification.gate?.source == .score && keepsDigits && specification.noise == nil)
  }
}

// MARK: - Choosing

extension GoldenVectors {
  /// How many calls of each kind are compared with every mistake.
  private static let triesOfAKind = 6

  private mutating func choose(from size: Int) {
    var calls = StageCalls(
      from: CallGenerator(for: RouterProfile(specification), generator: Philox(seed: seed, stream: 0x5EC7)))
    let kinds = calls.kinds
    var candidates: [Candidate] = []
    var left = RouterMistake.allCases.filter { $0.applies(to: specification) }
    let applicable = left
    var changing: Set<RouterMistake> = []
    // Each kind in turn; what the first ones do not tell apart is looked for in the rest.
    for number in 0..<size {
      guard let call = calls.decidedCall(kinds[number % kinds.count]) else { continue }
      guard let candidate = Candidate(call, self) else { continue }
      pool += 1
      let isEarly = number < Self.triesOfAKind * kinds.count
      if isEarly || tells(any: left, candidate) {
        var vector = candidate
        for mistake in applicable {
          switch effect(of: mistake, on: candidate) {
          case .none: break
          case .small: changing.insert(mistake)
          case .clear:
            changing.insert(mistake)
            vector.tells.append(mistake)
          }
        }
        left.removeAll { vector.tells.contains($0) }
        candidates.append(vector)
      } else {
        for mistake in left where !changing.contains(mistake) && effect(of: mistake, on: candidate) != .none {
          changing.insert(mistake)
        }
      }
    }
    told = applicable.filter { changing.contains($0) && !left.contains($0) }
    missed = applicable.filter { changing.contains($0) && left.contains($0) }
    same = applicable.filter { !changing.contains($0) }
    vectors = cover(candidates)
  }

  private func cover(_ candidates: [Candidate]) -> [GoldenVector] {
    var left = Set(told)
    var chosen: [Candidate] = []
    repeat {
      func gain(_ candidate: Candidate) -> Int { candidate.tells.count { left.contains($0) } }
      let best = candidates.enumerated().max { a, b in
        let (x, y) = (gain(a.element), gain(b.element))
        if x != y { return x < y }
        let (s, t) = (a.element.call.tokens, b.element.call.tokens)
        return s != t ? s > t : a.offset > b.offset
      }
      guard let best = best?.element else { break }
      chosen.append(best)
      left.subtract(best.tells)
    } while !left.isEmpty
    return chosen.map { GoldenVector(call: $0.call, expected: $0.expected, tells: $0.tells) }
  }

  /// A call that rounding leaves alone, with its answer.
  private struct Candidate {
    let call: RouterCall
    let expected: RouterAnswer
    var tells: [RouterMistake] = []

    init?(_ call: RouterCall, _ vectors: GoldenVectors) {
      let reference = RouterReference(vectors.specification)
      guard reference.margin(of: call) > leastGap, reference.orderMargin(of: call) > leastGap,
        var answer = reference.answer(to: call), answer.firstNotFinite == nil
      else { return nil }
      if !vectors.parts.contains(.gradient) {
        answer.gradient = nil
        answer.noiseGradient = nil
        answer.auxiliaryLoss = nil
        answer.auxiliaryGradient = nil
        answer.biasAfter = nil
      }
      self.call = call
      expected = answer
    }
  }

  private enum Effect { case none, small, clear }

  private func tells(any mistakes: [RouterMistake], _ candidate: Candidate) -> Bool {
    mistakes.contains { effect(of: $0, on: candidate) == .clear }
  }

  private func effect(of mistake: RouterMistake, on candidate: Candidate) -> Effect {
    guard let answer = RouterReference(specification, mistake: mistake).answer(to: candidate.call) else { return .none }
    func differs(by tolerance: Double) -> Bool {
      AnswerComparison.ofVectors(specification, tolerance: tolerance).difference(
        answer, from: candidate.expected, to: candidate.call, in: parts) != nil
    }
    if differs(by: Self.margin * Self.tolerance) { return .clear }
    return differs(by: 1e-9) ? .small : .none
  }
}

extension RouterReference {
  /// The least gap between experts of a token whose order shows, relative; infinite where none does.
  func orderMargin(of call: RouterCall) -> Double {
    let counts = specification.auxiliaryLosses.contains { $0.counting == .first }
    guard specification.capacity != nil || counts, call.choice == nil, let wanted = wanted(by: call) else {
      return .infinity
    }
    let evaluation = RouterEvaluation(self, call)
    let size = call.bias?.map(\.magnitude).max() ?? 0
    var least = Double.infinity
    for (token, experts) in zip(evaluation.tokens, wanted) {
      for (a, b) in zip(experts, experts.dropFirst()) {
        let (x, y) = (token.keys[a], token.keys[b])
        least = min(least, (x - y).magnitude / max(x.magnitude, y.magnitude, size, 1e-300))
      }
    }
    return least
  }
}
