// What follows from a specification for every router of it.

extension RouterSpecification {
  /// Whether multipliers, given choice and mask, stay where a constant is added to all logits; nil where the gate is not stated.
  ///
  /// Their gradient then has no component along (1, …, 1).
  package var hasShiftInvariantGates: Bool? {
    guard let gate else { return nil }
    switch gate.source {
    case .score: return score.function == .softmax
    case .softmaxOverChosen, .sequential, .one: return true
    case .subsetMarginal: return true
    case .sigmoidOfLogit: return false
    }
  }

  /// Whether every expert has a gate of its own, chosen or not: those drawn one after the other have none, nor subset marginals.
  package var hasDenseForm: Bool {
    switch gate?.source {
    case .sequential, .subsetMarginal, nil: false
    case .score, .softmaxOverChosen, .sigmoidOfLogit, .one: true
    }
  }

  /// Whether gates are made of a softmax over all experts, divided by their sum or not.
  package var hasSoftmaxGates: Bool {
    switch gate?.source {
    case .score: score.function == .softmax
    case .softmaxOverChosen: true
    case .sigmoidOfLogit, .one, .sequential, .subsetMarginal, nil: false
    }
  }

  /// Whether a constant that is added to all logits leaves the choice alone.
  package var hasShiftInvariantChoice: Bool {
    guard mask == .none else { return false }
    if case .threshold = selection, key == .logits { return false }
    return key == .logits || score.function == .softmax
  }

  /// Whether an expert returns 0 whatever it is given.
  package func returnsZero(_ expert: Int) -> Bool {
    guard let nullExperts, nullExperts.kind == .zero else { return false }
    return expert >= experts - nullExperts.count
  }

  /// Whether the noise is lost by a shift: a factor on the logits.
  package var hasMultiplicativeNoise: Bool { noise?.kind == .uniform || noise?.kind == .uniformInput }

  /// A word or two for the gates: `softmax`, `normalized sigmoid`.
  package var gateWords: String {
    guard let gate else { return "other" }
    switch gate.source {
    case .score: return (gate.isNormalized ? "normalized " : "") + score.function.rawValue
    case .softmaxOverChosen: return "renormalized"
    default: return gate.source.rawValue
    }
  }

  /// The chosen experts of a token in a word: `top-8`.
  package var choiceWords: String {
    switch selection {
    case .topK(let k): "top-\(k)"
    case .topP(let mass, let k): "top-p \(mass), at most \(k)"
    case .threshold(let above, _): "above \(above)"
    case .expertChoice(let c): "expert choice of \(c)"
    case .sampled(let k): "sampled top-\(k)"
    case .forced(let k): "forced \(k)"
    case .unstated(let k, _, _): "top-\(k)"
    }
  }
}
