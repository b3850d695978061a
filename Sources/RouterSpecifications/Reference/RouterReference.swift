import CStandardLibrary
import RoutingCore

/// The router that a specification describes: choice, multipliers and their exact gradient, in Float64.
///
/// With a mistake it is the router that people write who make it.
///
/// *Numerics*: scores come from the same softmax as all of RouteGrad; gradients are products with exact Jacobians, stage by
/// stage. Against PyTorch's autograd in Float64 and against numerical derivatives: docs/router-specifications.md.
///
/// *Source*: docs/router-specifications.md, section by section.
public struct RouterReference: Sendable {
  /// What it computes.
  public let specification: RouterSpecification
  /// What it gets wrong; nil for nothing.
  public let mistake: RouterMistake?

  /// The router of a specification.
  ///
  /// - Precondition: the specification is valid.
  public init(_ specification: RouterSpecification, mistake: RouterMistake? = nil) {
    self.specification = specification
    self.mistake = mistake
  }

  /// What it answers.
  ///
  /// - Parameters:
  ///   - call: what it is asked, with all that the specification reads.
  ///   - choice: the choice of another router, which the answer is to be given; nil for its own.
  /// - Returns: the answer; its multipliers, output and gradients are there where the gate is stated. nil where the choice
  ///   is drawn or by a rule that is not stated, and none is given.
  public func answer(to call: RouterCall, given choice: [[Int]]? = nil) -> RouterAnswer? {
    let evaluation = RouterEvaluation(self, call)
    guard let chosen = choice ?? evaluation.chosen() else { return nil }
    return evaluation.answer(choosing: chosen, isGiven: choice != nil)
  }

  /// The experts that tokens want, before any is turned away; nil where the choice is drawn or by a rule that is not stated.
  package func wanted(by call: RouterCall) -> [[Int]]? { RouterEvaluation(self, call).chosen() }

  /// How far the call is from one that is decided otherwise: the least gap at a decision, relative to the keys there.
  ///
  /// A router that rounds may decide otherwise where the margin is a few units of its rounding. Infinite where nothing is
  /// decided.
  package func margin(of call: RouterCall) -> Double { RouterEvaluation(self, call).margin }
}

/// One call on its way through the stages of a specification.
struct RouterEvaluation: Sendable {
  let specification: RouterSpecification
  let mistake: RouterMistake?
  let call: RouterCall
  var tokens: [Token] = []

  /// A token before experts are chosen.
  struct Token: Sendable {
    /// z, of which keys are made.
    var logits: [Double]
    /// z or θ, of which gates are made.
    var gateLogits: [Double]
    /// What a gradient at ``gateLogits`` is multiplied by to be one at θ.
    var factors: [Double]?
    /// The experts that neither the caller nor a mask has closed.
    var open: [Int]
    /// s of ``gateLogits``.
    var scores: Differentiated
    /// What experts are chosen by; −∞ for those that cannot be.
    var keys: [Double]
  }

  init(_ reference: RouterReference, _ call: RouterCall) {
    specification = reference.specification
    mistake = reference.mistake
    self.call = call
    tokens = (0..<call.tokens).map(token)
  }

  var isTraining: Bool { call.mode == .train }
}

// MARK: - Noise, score, key, restriction

extension RouterEvaluation {
  private func token(_ t: Int) -> Token {
    let (noisy, factors) = noisyLogits(t)
    let theta = call.logits[t]
    let reaches = (specification.noise?.reachesGates ?? true) != (mistake == .gateFromOtherLogits)
    let gateLogits = reaches ? noisy : theta
    let open = open(noisy)
    let score = self.score
    let scores = score.values(gateLogits, open: open)
    var token = Token(
      logits: noisy, gateLogits: gateLogits, factors: reaches ? factors : nil, open: open, scores: scores, keys: [])
    token.keys = keys(of: token, chosenBy: gateLogits == noisy ? scores.values : score.values(noisy, open: open).values)
    return token
  }

  /// z, and ∂z/∂θ where it is not 1.
  private func noisyLogits(_ t: Int) -> (logits: [Double], factors: [Double]?) {
    let theta = call.logits[t]
    guard let noise = specification.noise, isTraining || mistake == .noiseInEvaluation, mistake != .noiseMissing else {
      return (theta, nil)
    }
    switch noise.kind {
    case .uniform, .uniformInput:
      let factors = theta.indices.map { 1 - noise.width + 2 * noise.width * call.uniforms[t][$0] }
      let isChained = noise.kind == .uniform && mistake != .noiseWithoutChainRule
      return (zip(theta, factors).map { $0 * $1 }, isChained ? factors : nil)
    case .normal:
      return (theta.indices.map { theta[$0] + noise.width * (call.normals?[t][$0] ?? 0) }, nil)
    case .learnedNormal:
      return (theta.indices.map { theta[$0] + softplus(noiseLogits(t)[$0]) * (call.normals?[t][$0] ?? 0) }, nil)
    case .gumbel:
      // Never log 0: the least draw is one that no generator gives.
      let noises = theta.indices.map { -log(-log(max(call.uniforms[t][$0], 0x1p-64))) }
      return (zip(theta, noises).map { $0 + noise.width * $1 }, nil)
    }
  }

  /// ν.
  private func noiseLogits(_ t: Int) -> [Double] {
    (mistake == .noiseScaleFromLogits ? nil : call.noiseLogits?[t]) ?? call.logits[t]
  }

  /// ∂L/∂ν of a gradient at the gates' logits.
  func noiseGradient(_ t: Int, _ gradient: [Double]) -> [Double]? {
    guard specification.noise?.kind == .learnedNormal, tokens[t].gateLogits == tokens[t].logits else {
      return specification.noise?.kind == .learnedNormal ? gradient.map { _ in 0 } : nil
    }
    guard isTraining, mistake != .noiseScaleFromLogits else { return gradient.map { _ in 0 } }
    return gradient.indices.map { gradient[$0] * (call.normals?[t][$0] ?? 0) * sigmoid(noiseLogits(t)[$0]) }
  }

  private func open(_ z: [Double]) -> [Int] {
    let finite = z.indices.filter { z[$0] > -.infinity }
    guard specification.mask != .none, !finite.isEmpty else { return finite }
    return specification.mask.support(of: finite.map { z[$0] }).map { finite[$0] }
  }

  var score: RouterSpecification.Score {
    var score = specification.score
    switch mistake {
    case .softmaxForScore: score.function = .softmax
    case .sigmoidForScore: score.function = .sigmoid
    case .temperatureMissing: score.temperature = 1
    default: break
    }
    return score
  }

  private func keys(of token: Token, chosenBy scores: [Double]) -> [Double] {
    restricted(unrestrictedKeys(token, chosenBy: scores))
  }

  /// The keys before groups are left out.
  func unrestrictedKeys(_ token: Token, chosenBy scores: [Double]? = nil) -> [Double] {
    let isScore = specification.key == .score
    var base =
      isScore ? scores ?? score.values(token.logits, open: token.open).values : token.logits
    if specification.hasSelectionBias, let bias = call.bias {
      switch mistake {
      case .biasIgnored: break
      case .biasReversed: base = zip(base, bias).map { $0 - $1 }
      case .biasInBFloat16: base = zip(base, bias).map { $0 + Self.bfloat16($1) }
      case .biasOnLogits:
        base = score.values(zip(token.logits, bias).map { $0 + $1 }, open: token.open).values
      default: base = zip(base, bias).map { $0 + $1 }
      }
    }
    // A mask is one of the scores: logits are compared whether it keeps an expert or not.
    let eligible = isScore ? token.open : base.indices.filter { token.logits[$0] > -.infinity }
    var keys = [Double](repeating: -.infinity, count: base.count)
    for i in eligible { keys[i] = base[i] }
    return keys
  }

  /// The nearest number of BF16.
  private static func bfloat16(_ x: Double) -> Double {
    let bits = Float(x).bitPattern
    return Double(Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000))
  }

  private func restricted(_ keys: [Double]) -> [Double] {
    guard let groups = specification.groups, mistake != .groupsIgnored else { return keys }
    let kept = Set(Self.largest(groupWorths(keys), groups.kept - (mistake == .oneGroupFewer ? 1 : 0)))
    let closed = mistake == .maskedGroupsAtZero ? 0 : -Double.infinity
    return keys.indices.map {
      kept.contains(group(of: $0)) || keys[$0] == -.infinity ? keys[$0] : closed
    }
  }

  private func group(of expert: Int) -> Int {
    guard let groups = specification.groups else { return 0 }
    return mistake == .groupsInterleaved ? expert % groups.count : expert / (specification.experts / groups.count)
  }

  /// What the groups are worth.
  func groupWorths(_ keys: [Double]) -> [Double] {
    guard let groups = specification.groups else { return [] }
    var members = [[Double]](repeating: [], count: groups.count)
    for (i, key) in keys.enumerated() { members[group(of: i)].append(key) }
    return members.map { keys in
      let sorted = keys.sorted(by: >)
      switch mistake {
      case .groupsByMaximum: return sorted[0]
      case .groupsByTwo: return sorted.prefix(2).reduce(0, +)
      case .groupsByMean: return sorted.reduce(0, +)
      default: return groups.score == .max ? sorted[0] : sorted.prefix(2).reduce(0, +)
      }
    }
  }

  /// The places of the largest entries above −∞, the largest first, of equal ones the first.
  static func largest(_ values: [Double], _ count: Int) -> [Int] {
    let finite = values.indices.filter { values[$0] > -.infinity }
    return Array(finite.sorted { values[$0] != values[$1] ? values[$0] > values[$1] : $0 < $1 }.prefix(max(count, 0)))
  }
}

// MARK: - Selection

extension RouterEvaluation {
  /// The experts of each token; nil where they are drawn, or by a rule that is not stated.
  func chosen() -> [[Int]]? {
    if let forced = call.choice, mistake != .choiceNotForced { return forced }
    return ownChoice()
  }

  private func ownChoice() -> [[Int]]? {
    let change = mistake == .oneExpertFewer ? -1 : mistake == .oneExpertMore ? 1 : 0
    switch specification.selection {
    case .topK(let k):
      let optional = specification.experts - specification.alwaysChosen
      return tokens.map { token in
        Self.largest(Array(token.keys.prefix(optional)), k + change) + Array(optional..<specification.experts)
      }
    case .sampled(let k): return isTraining ? nil : tokens.map { Self.largest($0.keys, k + change) }
    case .topP(let mass, let k): return tokens.map { reaching(mass, $0, atMost: k + change) }
    case .threshold(let above, let k):
      return tokens.map { token in Self.largest(token.keys, k + change).filter { token.keys[$0] > above } }
    case .expertChoice(let c):
      if mistake == .tokensChoose {
        let k = max(1, c * specification.experts / max(call.tokens, 1))
        return tokens.map { Self.largest($0.keys, k).sorted() }
      }
      var experts = [[Int]](repeating: [], count: call.tokens)
      for i in 0..<specification.experts {
        for t in Self.largest(tokens.map { $0.keys[i] }, c + change) { experts[t].append(i) }
      }
      return experts
    case .forced, .unstated: return nil
    }
  }

  /// The fewest of the largest keys whose scores sum to `mass`.
  private func reaching(_ mass: Double, _ token: Token, atMost count: Int) -> [Int] {
    var sum = 0.0
    var chosen: [Int] = []
    for i in Self.largest(token.keys, count) {
      if sum >= mass { break }
      sum += token.scores.values[i]
      if mistake == .smallestMassLeftOut, sum >= mass, !chosen.isEmpty { break }
      chosen.append(i)
    }
    return chosen
  }

  /// The scores of a replayed choice are 0 outside the router's own one, with the mistake that does so.
  func isZeroed(_ t: Int, _ expert: Int) -> Bool {
    guard mistake == .replayOfOwnScores, call.choice != nil else { return false }
    return !Self.largest(tokens[t].keys, specification.selection.most(of: specification.experts)).contains(expert)
      && expert < specification.experts - specification.alwaysChosen
  }
}
