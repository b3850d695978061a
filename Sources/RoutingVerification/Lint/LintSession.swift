import RouterSpecifications
import RoutingCore

/// One check's dealings with the router: it makes calls, counts them, and has every answer looked at.
final class LintSession {
  let router: any ForeignRouter
  /// The router that it is compared with, if there is one.
  let other: (any ForeignRouter)?
  let profile: RouterProfile
  /// The router that the profile describes.
  let reference: RouterReference
  private(set) var calls = 0
  private var calling: StageCalls

  /// Random calls depend on seed and check alone.
  init(_ router: any ForeignRouter, sameAs other: (any ForeignRouter)?, check: LintCheck, seed: UInt64) {
    self.router = router
    self.other = other
    profile = router.profile
    reference = RouterReference(profile.specification)
    let stream = LintCheck.allCases.firstIndex(of: check) ?? 0
    calling = StageCalls(from: CallGenerator(for: profile, generator: Philox(seed: seed, stream: UInt64(stream))))
  }

  var specification: RouterSpecification { profile.specification }

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
  func ask(_ call: RouterCall, of asked: (any ForeignRouter)? = nil) throws(Stop) -> RouterAnswer {
    calls += 1
    let answer: RouterAnswer
    do throws(RouterFailure) {
      answer = try (asked ?? router).route(call)
      try answer.requireFit(call, of: profile)
    } catch {
      throw .failure(error)
    }
    if let path = answer.firstNotFinite {
      throw .refuted("\(Words.call(call)): \(path) is not a finite number\(resemblance(answer, call))")
    }
    for (t, row) in answer.choice.enumerated() {
      if let stranger = row.first(where: { !(0..<profile.experts).contains($0) }) {
        throw .refuted("\(Words.call(call)): token \(t) goes to expert \(stranger), of 0 to \(profile.experts - 1)")
      }
      if row.count > profile.topK {
        throw .refuted(
          "\(Words.call(call)): token \(t) goes to \(row.count) experts \(Words.list(row)), expected at most "
            + "\(profile.topK)\(resemblance(answer, call))")
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
  var rounds: Int { profile.draws ? 64 : 8 }

  /// The generator that calls are made by.
  var generator: Philox {
    get { calling.source.generator }
    set { calling.source.generator = newValue }
  }

  /// A random call.
  func randomCall(tokens: Int = 1, mode: RouterCall.Mode = .train) -> RouterCall {
    calling.source.call(tokens: tokens, mode: mode)
  }

  /// A call on one token, or on a batch where tokens compete.
  func randomBatch() -> RouterCall { calling.source.batch() }

  /// Calls that bring a stage of the specification to light, so many of each kind that says something about it.
  func calls(_ kinds: [StageCalls.Kind], each count: Int) -> [(kind: StageCalls.Kind, call: RouterCall)] {
    kinds.filter(calling.applies).flatMap { kind in
      (0..<count).compactMap { _ in calling.call(kind).map { (kind, $0) } }
    }
  }

  /// Uniform draws for one token.
  func draws() -> [Double] { calling.source.draws() }

  /// Normal draws for one token.
  func normals() -> [Double] { calling.source.normals() }

  /// Distinct experts for each token.
  func randomChoice(_ tokens: Int) -> [[Int]] { calling.source.choice(tokens) }
}

// MARK: - What sound routers answer

extension LintSession {
  /// Keys that lie closer to each other than this are not put to a router that rounds.
  var leastMargin: Double { 16 * profile.tolerance }

  /// What is compared, to the profile's tolerance.
  var comparison: AnswerComparison { AnswerComparison(of: specification, tolerance: profile.tolerance) }

  /// What the specification answers, given the choice of another answer; nil where the gate is not stated.
  func expected(_ call: RouterCall, given answer: RouterAnswer) -> RouterAnswer? {
    specification.gate == nil ? nil : reference.answer(to: call, given: answer.choice)
  }

  /// Throws if a part of an answer is not what the specification says, given the answer's choice.
  func require(
    _ parts: [AnswerDifference.Part], of answer: RouterAnswer, to call: RouterCall, by other: AnswerComparison? = nil,
    _ name: String = ""
  ) throws(Stop) {
    guard let expected = expected(call, given: answer) else { return }
    guard let difference = (other ?? comparison).difference(answer, from: expected, to: call, in: parts) else { return }
    throw .refuted(
      "\(name.isEmpty ? "" : name + ": ")\(Words.call(call)), choice \(Words.list(answer.choice[difference.token ?? 0])): "
        + "\(difference)\(multiple(difference.part, answer, expected, call))\(resemblance(answer, call))")
  }

  /// Which mistakes an answer is that of, as the end of a sentence; nothing if none fits.
  func resemblance(_ answer: RouterAnswer, _ call: RouterCall) -> String {
    guard specification.gate != nil else { return "" }
    func own(_ mistake: RouterMistake?) -> RouterAnswer? {
      let router = RouterReference(specification, mistake: mistake)
      return router.answer(to: call) ?? router.answer(to: call, given: answer.choice)
    }
    func isSame(_ a: RouterAnswer, _ b: RouterAnswer) -> Bool {
      a.choice.map(\.count) == b.choice.map(\.count) && comparison.difference(a, from: b, to: call) == nil
    }
    guard let sound = own(nil) else { return "" }
    let fitting = RouterMistake.allCases.filter { mistake in
      own(mistake).map { isSame(answer, $0) && !isSame($0, sound) } ?? false
    }
    guard !fitting.isEmpty else { return "" }
    let words = fitting.prefix(2).map { "\($0.words) (\($0.rawValue))" }.joined(separator: ", or ")
    let others = fitting.dropFirst(2).map { "(\($0.rawValue))" }.joined(separator: ", ")
    return "; it is the answer of a router \(words)\(others.isEmpty ? "" : ", or \(others)")"
  }

  /// What an answer is times the expected one, if it is a multiple; as the end of a clause.
  private func multiple(
    _ part: AnswerDifference.Part, _ answer: RouterAnswer, _ expected: RouterAnswer, _ call: RouterCall
  ) -> String {
    guard part == .gradient, let a = answer.gradient?.joined(), let b = expected.gradient?.joined() else { return "" }
    let ratio = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } / b.reduce(0) { $0 + $1 * $1 }
    guard ratio.isFinite, ratio.magnitude > 1e-6 else { return "" }
    var scaled = expected
    scaled.gradient = expected.gradient?.map { $0.map { ratio * $0 } }
    let isMultiple = comparison.difference(answer, from: scaled, to: call, in: [.gradient]) == nil
    return isMultiple ? ", \(Words.number(ratio)) times what it should be" : ""
  }

  /// `u` of a token, `[experts]`; ones where the noise is no factor.
  func factors(_ call: RouterCall, token: Int) -> [Double] {
    guard let noise = specification.noise, specification.hasMultiplicativeNoise, call.mode == .train else {
      return [Double](repeating: 1, count: profile.experts)
    }
    return call.uniforms[token].prefix(profile.experts).map { 1 - noise.width + 2 * noise.width * $0 }
  }

  /// What a gradient's rounding is relative to.
  func gradientScale(_ call: RouterCall, _ answer: RouterAnswer, token: Int) -> Double {
    comparison.gradientScale(answer, call, token: token)
  }

  /// Whether two lists agree to rounding at this scale.
  func agree(_ a: [Double], _ b: [Double], scale: Double) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { ($0 - $1).magnitude <= profile.tolerance * scale }
  }
}
