extension RouterMistake {
  /// Whether a specification has the stage that the mistake is made in.
  ///
  /// Where it has not, a router with the mistake computes the same to the last bit. Where it has, it may still compute the
  /// same: a softmax over the chosen experts is not changed by a second normalisation.
  package func applies(to specification: RouterSpecification) -> Bool {
    switch self {
    case .noiseMissing, .noiseInEvaluation, .gateFromOtherLogits: specification.noise != nil
    case .noiseWithoutChainRule: specification.noise?.kind == .uniform
    case .noiseScaleFromLogits: specification.noise?.kind == .learnedNormal
    case .softmaxForScore: specification.score.function != .softmax
    case .sigmoidForScore: specification.score.function != .sigmoid
    case .temperatureMissing: specification.score.temperature != 1
    case .biasIgnored, .biasInBFloat16, .biasOnLogits, .biasReversed: specification.hasSelectionBias
    case .biasInGate, .biasTakenOffAgain: specification.hasSelectionBias && specification.gate?.source == .score
    case .groupsIgnored, .maskedGroupsAtZero, .groupsByMean, .groupsInterleaved, .oneGroupFewer:
      specification.groups != nil
    case .groupsByMaximum: specification.groups?.score == .sumOfTwo
    case .groupsByTwo: specification.groups?.score == .max
    case .oneExpertFewer, .oneExpertMore:
      switch specification.selection {
      case .topK, .sampled, .topP, .threshold, .expertChoice: true
      case .forced, .unstated: false
      }
    case .smallestMassLeftOut: if case .topP = specification.selection { true } else { false }
    case .tokensChoose: if case .expertChoice = specification.selection { true } else { false }
    case .choiceNotForced: specification.replays && specification.choosesByKeys
    case .replayOfOwnScores: specification.replays || !specification.choosesByKeys
    case .softmaxOverChosen, .softmaxOverAll, .normalizationMissing, .normalizationAdded, .normalizationDetached,
      .normalizationOverOthers, .floorMissing, .scaleMissing, .scaleSquared, .scaleBeforeNormalization,
      .expertScalesMissing, .expertScalesByPlace, .complementDetached, .gateDetached, .firstGateDetached,
      .lastGateDetached, .factorMissing, .factorTwice:
      specification.gate.map { applies(to: $0, of: specification) } ?? false
    case .gateOnOutput: specification.applied == .input
    case .gateOnInput, .offsetNotWeighted: specification.takesFunctions && specification.applied == .output
    case .gateOnBoth: specification.usesFunctions
    case .nullExpertsDropped: specification.nullExperts?.kind == .identity
    case .capacityIgnored, .capacityOneMore, .capacityOneFewer, .capacityByScatteredLogits, .droppedKeepGradient:
      specification.capacity != nil
    case .priorityByPosition: specification.capacity.map { $0.priority != .position } ?? false
    case .priorityByRank: specification.capacity.map { $0.priority != .rank } ?? false
    case .priorityByScore: specification.capacity.map { $0.priority != .score } ?? false
    case .auxiliaryMissing, .auxiliaryDetached, .balanceOfLogits, .balanceOfSoftmaxTwice, .balanceWithoutExperts,
      .countsAll, .countsMean, .countsFirst, .countsKept, .probabilitiesOfScores, .probabilitiesOfSoftmax,
      .sequencesIgnored, .microBatchScaling, .zWithoutSquare, .deviationForVariance, .deviationSquared:
      specification.auxiliaryLosses.contains { applies(to: $0, of: specification) }
    case .biasUpdateReversed, .biasUpdateOfOtherRule: specification.biasUpdate != nil
    }
  }

  private func applies(to gate: RouterSpecification.Gate, of specification: RouterSpecification) -> Bool {
    switch self {
    case .softmaxOverChosen: gate.source != .softmaxOverChosen
    case .softmaxOverAll: gate.source != .score || specification.score != .init()
    case .normalizationMissing, .normalizationDetached: gate.isNormalized
    case .normalizationAdded: !gate.isNormalized
    case .normalizationOverOthers: gate.isNormalized && specification.capacity != nil
    case .floorMissing: gate.isNormalized && gate.floor > 0
    case .scaleMissing, .scaleSquared: gate.scale != 1
    case .scaleBeforeNormalization: gate.isNormalized && gate.scale != 1
    case .expertScalesMissing, .expertScalesByPlace: gate.hasExpertScales
    case .complementDetached: gate.source == .subsetMarginal
    case .factorMissing: gate.gradientFactor != 1
    default: true
    }
  }

  private func applies(to loss: RouterSpecification.AuxiliaryLoss, of specification: RouterSpecification) -> Bool {
    let isCounted = loss.kind == .balance && loss.scope != .global
    return switch self {
    case .balanceOfLogits: loss.kind != .z
    case .balanceOfSoftmaxTwice: loss.kind != .z && loss.probabilities == .softmax
    case .balanceWithoutExperts: loss.kind == .balance
    case .countsAll: isCounted && loss.counting != .all
    case .countsMean: isCounted && loss.counting != .mean
    case .countsFirst: isCounted && loss.counting != .first
    case .countsKept: isCounted && specification.capacity != nil
    case .probabilitiesOfScores: loss.kind != .z && loss.probabilities != .normalizedScore
    case .probabilitiesOfSoftmax: loss.kind != .z && loss.probabilities != .softmax
    case .sequencesIgnored: loss.scope == .sequence
    case .microBatchScaling: loss.scope == .global
    case .zWithoutSquare: loss.kind == .z
    case .deviationForVariance, .deviationSquared: loss.kind == .cvSquared
    default: true
    }
  }
}

extension RouterSpecification {
  /// Whether the choice follows from the keys in training, too.
  package var choosesByKeys: Bool {
    switch selection {
    case .topK, .topP, .threshold, .expertChoice: true
    case .sampled, .forced, .unstated: false
    }
  }
}
