import RoutingCore

/// Where two answers to a call part.
package struct AnswerDifference: Sendable, Equatable, CustomStringConvertible {
  /// What differs.
  package var part: Part
  /// The token; nil where it is about the batch.
  package var token: Int?
  /// The expert; nil where it is about all of them.
  package var expert: Int?
  /// What was found there.
  package var found: String
  /// What was expected there.
  package var expected: String

  /// What an answer consists of.
  package enum Part: String, Sendable, CaseIterable {
    case choice
    case multipliers
    case gradient
    case output
    case noiseGradient
    case auxiliaryLoss
    case auxiliaryGradient
    case biasAfter
  }

  /// `token 2, expert 5: multiplier 0.25, expected 0.5`.
  package var description: String {
    let places = [token.map { "token \($0)" }, expert.map { "expert \($0)" }].compactMap(\.self)
    let place = places.isEmpty ? "" : places.joined(separator: ", ") + ": "
    return "\(place)\(Self.words[part] ?? part.rawValue) \(found), expected \(expected)"
  }

  private static let words: [Part: String] = [
    .multipliers: "multiplier", .noiseGradient: "gradient at the noise's logits", .auxiliaryLoss: "auxiliary loss",
    .auxiliaryGradient: "gradient of the auxiliary loss", .biasAfter: "bias after the update",
  ]
}

/// Compares answers to one call by a specification.
///
/// *Numerics*: a tolerance is relative to what a quantity is summed of: a gradient's to `Σ_i max(1, m_i) Σ_j |∂L/∂y_j| (|f_ij| + 1)`
/// times the estimator's factor, an output's to `Σ_i m_i max_j |f_ij|`, an auxiliary loss's to the sum of its coefficients
/// times N k. Multipliers are compared to 1, or strictly: to their own size.
package struct AnswerComparison: Sendable {
  package let specification: RouterSpecification
  /// What is forgiven, relative.
  package var tolerance: Double
  /// Whether multipliers are compared to their own size, times the spread of the logits.
  package var isStrict: Bool

  /// A comparison.
  package init(of specification: RouterSpecification, tolerance: Double, isStrict: Bool = false) {
    self.specification = specification
    self.tolerance = tolerance
    self.isStrict = isStrict
  }

  /// The first difference, in the order of parts; nil if there is none. What either answer lacks is not compared.
  ///
  /// - Parameters:
  ///   - found: the answer that is judged.
  ///   - expected: what it should be.
  ///   - call: what was asked.
  ///   - parts: what is compared.
  package func difference(
    _ found: RouterAnswer, from expected: RouterAnswer, to call: RouterCall,
    in parts: [AnswerDifference.Part] = AnswerDifference.Part.allCases
  ) -> AnswerDifference? {
    for part in AnswerDifference.Part.allCases where parts.contains(part) {
      if let difference = difference(part, found, expected, call) { return difference }
    }
    return nil
  }

  private func difference(
    _ part: AnswerDifference.Part, _ found: RouterAnswer, _ expected: RouterAnswer, _ call: RouterCall
  ) -> AnswerDifference? {
    switch part {
    case .choice: return choice(found, expected)
    case .multipliers: return multipliers(found, expected, call)
    case .gradient:
      return rows(part, found.gradient, expected.gradient) { gradientScale(expected, call, token: $0) }
    case .noiseGradient:
      return rows(part, found.noiseGradient, expected.noiseGradient) { t in
        4 * gradientScale(expected, call, token: t)
      }
    case .output:
      return rows(part, found.output, expected.output, isOfExperts: false) { outputScale(expected, call, token: $0) }
    case .auxiliaryLoss:
      guard let a = found.auxiliaryLoss, let b = expected.auxiliaryLoss else { return nil }
      return isClose(a, b, max(auxiliaryScale(call), b.magnitude))
        ? nil
        : .init(
          part: part, found: Words.number(a), expected: Words.number(b))
    case .auxiliaryGradient:
      let tokens = Double(call.globalTokens ?? call.tokens)
      return rows(part, found.auxiliaryGradient, expected.auxiliaryGradient) { _ in auxiliaryScale(call) / tokens }
    case .biasAfter:
      guard let a = found.biasAfter, let b = expected.biasAfter else { return nil }
      return rows(part, [a], [b]) { _ in max(1, call.bias?.map(\.magnitude).max() ?? 1) }.map {
        .init(part: part, expert: $0.expert, found: $0.found, expected: $0.expected)
      }
    }
  }

  private func choice(_ found: RouterAnswer, _ expected: RouterAnswer) -> AnswerDifference? {
    let isOrdered = specification.gate?.source == .sequential
    for t in expected.choice.indices {
      let (a, b) = (found.choice[t], expected.choice[t])
      if isOrdered ? a == b : a.sorted() == b.sorted() { continue }
      return .init(
        part: .choice, token: t, expert: b.first { !a.contains($0) } ?? a.first { !b.contains($0) },
        found: Words.list(a), expected: Words.list(b))
    }
    return nil
  }

  /// Multipliers by expert, each allowed any of the coin's scales; what multiplies 0 is not compared.
  private func multipliers(_ found: RouterAnswer, _ expected: RouterAnswer, _ call: RouterCall) -> AnswerDifference? {
    let scales = specification.gate?.outputScales ?? [1]
    for t in expected.choice.indices {
      let spread = isStrict ? 1 + (call.logits[t].filter(\.isFinite).map(\.magnitude).max() ?? 0) : 1
      for (place, expert) in expected.choice[t].enumerated() where !specification.returnsZero(expert) {
        let other =
          found.choice[t].indices.contains(place) && found.choice[t][place] == expert
          ? place : found.choice[t].firstIndex(of: expert)
        guard let other else { continue }
        let (a, b) = (found.multipliers[t][other], expected.multipliers[t][place])
        let isClose = scales.contains { scale in
          let size = (scale * b).magnitude
          return self.isClose(a, scale * b, isStrict ? spread * max(size, 1e-30) : max(1, scale, size))
        }
        if !isClose {
          return .init(
            part: .multipliers, token: t, expert: expert, found: Words.number(a), expected: Words.number(b))
        }
      }
    }
    return nil
  }

  private func rows(
    _ part: AnswerDifference.Part, _ found: [[Double]]?, _ expected: [[Double]]?, isOfExperts: Bool = true,
    scale: (Int) -> Double
  ) -> AnswerDifference? {
    guard let found, let expected else { return nil }
    for t in expected.indices {
      let size = scale(t)
      guard let k = expected[t].indices.first(where: { !isClose(found[t][$0], expected[t][$0], size) }) else {
        continue
      }
      return .init(
        part: part, token: t, expert: isOfExperts ? k : nil, found: Words.number(found[t][k]),
        expected: Words.number(expected[t][k]))
    }
    return nil
  }

  private func isClose(_ a: Double, _ b: Double, _ scale: Double) -> Bool {
    a == b || a.isNaN && b.isNaN || (a - b).magnitude <= tolerance * scale
  }
}

// MARK: - What rounding is relative to

extension AnswerComparison {
  /// What a gradient is summed of, of one token.
  package func gradientScale(_ answer: RouterAnswer, _ call: RouterCall, token t: Int) -> Double {
    var scale = 0.0
    for (place, expert) in answer.choice[t].enumerated() {
      let size = max(1, answer.multipliers[t][place].magnitude)
      let row = call.expertOutputs[t][expert]
      for (a, b) in zip(call.upstream[t], row) {
        scale += size * (call.functions == nil ? (a * b).magnitude : a.magnitude * (b.magnitude + 1))
      }
    }
    return max(1, specification.gate?.gradientFactor ?? 1) * max(scale, .leastNormalMagnitude)
  }

  private func outputScale(_ answer: RouterAnswer, _ call: RouterCall, token t: Int) -> Double {
    answer.choice[t].indices.reduce(1) {
      let row = call.expertOutputs[t][answer.choice[t][$1]]
      return $0 + max(1, answer.multipliers[t][$1].magnitude) * (1 + (row.map(\.magnitude).max() ?? 0))
    }
  }

  private func auxiliaryScale(_ call: RouterCall) -> Double {
    let k = Double(specification.selection.isJoint ? 1 : specification.mostChosen)
    let coefficients = specification.auxiliaryLosses.reduce(0) { $0 + $1.coefficient.magnitude }
    return coefficients * Double(specification.experts) * k
  }
}
