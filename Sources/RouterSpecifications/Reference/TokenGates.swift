// What training, and what dense back-propagation, makes of one token's gates.

extension RouterReference {
  /// The gates of every token of a call; nil where the choice is drawn or by a rule that is not stated.
  ///
  /// Read of the call: mode, logits, draws, bias, scales, a forced choice.
  ///
  /// - Precondition: the gate is stated.
  package func gates(of call: RouterCall) -> [TokenGates]? {
    let evaluation = RouterEvaluation(self, call)
    guard let chosen = evaluation.chosen() else { return nil }
    let kept = evaluation.kept(chosen)
    return chosen.indices.map { TokenGates(evaluation, token: $0, wanted: chosen[$0], kept: kept[$0]) }
  }
}

/// The gates of one token, g of the experts A that it has and what the others' would be, with gradients at its logits θ.
///
/// With h the scores of which gates are made, r their factors and D what they are divided by, `g_i = r_i h_i / D`. The *dense form*
/// gives every expert its `r_i h_i / D`: those in A with the derivative of D, the others with D held, as if each were added to the
/// sum without a new division.
///
/// *Source*: docs/guides/network-audit.md; for normalised gates yaof20/DenseMixer at 116e83d, `qwen3_moe_custom.py`.
package struct TokenGates: Sendable {
  private let evaluation: RouterEvaluation
  private let token: Int
  /// The experts that it wants, in order of choice.
  private let wanted: [Int]
  /// Whether capacity keeps each of them.
  private let kept: [Bool]
  /// A, in order of choice.
  package let chosen: [Int]
  /// g of A.
  package let values: [Double]

  init(_ evaluation: RouterEvaluation, token: Int, wanted: [Int], kept: [Bool]) {
    self.evaluation = evaluation
    self.token = token
    self.wanted = wanted
    self.kept = kept
    let gates = evaluation.multipliers(token, wanted, kept: kept).values
    chosen = wanted.indices.filter { kept[$0] }.map { wanted[$0] }
    values = wanted.indices.filter { kept[$0] }.map { gates[$0] }
  }

  /// The gates of the dense form, `[experts]`; nil where gates have none: those drawn one after the other, and subset marginals.
  package var dense: [Double]? {
    guard let form = Self.form(evaluation, token, wanted, kept) else { return nil }
    var all = zip(form.raw.values, form.factors).map { $0 * $1 }
    for (place, expert) in chosen.enumerated() { all[expert] = values[place] }
    return all
  }

  /// h of all experts, and r/D of each.
  private static func form(
    _ evaluation: RouterEvaluation, _ token: Int, _ wanted: [Int], _ kept: [Bool]
  ) -> (raw: Differentiated, factors: [Double])? {
    guard let gate = evaluation.specification.gate, evaluation.specification.hasDenseForm else { return nil }
    let all = Array(0..<evaluation.specification.experts)
    if gate.source == .softmaxOverChosen {
      // The same function of the logits as a softmax over all that is divided by its sum.
      let p = softmax(evaluation.tokens[token].gateLogits, over: evaluation.tokens[token].open)
      let sum = wanted.reduce(0) { $0 + p.values[$1] }
      let factors = evaluation.factors(gate, all).map { wanted.isEmpty ? $0 : $0 / sum }
      return (p, factors)
    }
    let raw = evaluation.gates(gate, token, all)
    let divisor = evaluation.divisor(gate, wanted.map { raw.values[$0] }, kept)
    return (raw, evaluation.factors(gate, all).map { $0 / divisor.value })
  }

  /// A gradient at the gates' logits as the backward pass has it at θ.
  private func atLogits(_ gradient: [Double]) -> [Double] {
    let factor = evaluation.specification.gate?.gradientFactor ?? 1
    return evaluation.chained(token, gradient.map { factor * $0 })
  }

  /// What training gives: `Σ_{i∈A} c_i ∂g_i/∂θ`, `[experts]`, of slopes c, `[experts]`.
  package func sparseGradient(_ slopes: [Double]) -> [Double] {
    let gates = evaluation.multipliers(token, wanted, kept: kept)
    return atLogits(gates.pullback(wanted.indices.map { kept[$0] ? slopes[wanted[$0]] : 0 }))
  }

  /// What it does not see: `Σ_{i∉A} c_i (r_i/D) ∂h_i/∂θ`, D held, `[experts]`; nil without a dense form.
  package func unseenGradient(_ slopes: [Double]) -> [Double]? {
    guard let form = Self.form(evaluation, token, wanted, kept) else { return nil }
    var weights = zip(slopes, form.factors).map { $0 * $1 }
    for expert in chosen { weights[expert] = 0 }
    return atLogits(form.raw.pullback(weights))
  }

  /// `Σ_i c_i r_i ∂p_i/∂θ`, `[experts]`, p the softmax that gates are made of, over all experts and with no divisor; nil where they are made of
  /// something else.
  package func softmaxGradient(_ slopes: [Double]) -> [Double]? {
    guard let gate = evaluation.specification.gate, evaluation.specification.hasSoftmaxGates,
      let form = Self.form(evaluation, token, wanted, kept)
    else { return nil }
    let factors = evaluation.factors(gate, Array(slopes.indices))
    return atLogits(form.raw.pullback(zip(slopes, factors).map { $0 * $1 }))
  }

  /// `Σ_i w_i ∂s_i/∂θ`, `[experts]`, s the scores at `temperature` times the specification's.
  ///
  /// It is what reaches θ through the indicator of A where that passes gradients on to the scores as they are (arXiv 1308.3432).
  package func scoreGradient(_ weights: [Double], temperature: Double) -> [Double] {
    var score = evaluation.score
    score.temperature *= temperature
    let own = evaluation.tokens[token]
    return evaluation.chained(token, score.values(own.gateLogits, open: own.open).pullback(weights))
  }

  /// The token's gates with other experts, all of which have room for it.
  package func choosing(_ experts: [Int]) -> TokenGates {
    TokenGates(evaluation, token: token, wanted: experts, kept: experts.map { _ in true })
  }

  /// The token's gates with every expert that may be chosen: the dense mixture; nil without a dense form.
  package var choosingAll: TokenGates? {
    !evaluation.specification.hasDenseForm ? nil : choosing(evaluation.tokens[token].open)
  }

  /// A with another expert in the place of the last one that is chosen by its key; nil if there is none.
  package func swappingLast(for expert: Int) -> TokenGates? {
    let optional = evaluation.specification.experts - evaluation.specification.alwaysChosen
    guard let place = chosen.lastIndex(where: { $0 < optional }) else { return nil }
    var experts = chosen
    experts[place] = expert
    return choosing(experts)
  }

  /// Whether an expert is outside A and the token could have it.
  package func couldHave(_ expert: Int) -> Bool {
    !chosen.contains(expert) && evaluation.tokens[token].open.contains(expert)
  }
}
