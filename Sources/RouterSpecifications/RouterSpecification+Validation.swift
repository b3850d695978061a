import RoutingCore

extension RouterSpecification {
  /// The same with another number of experts.
  ///
  /// - Throws: `InvalidInput` if it cannot have that many, because of its groups, say.
  package func with(experts: Int) throws(InvalidInput) -> RouterSpecification {
    var other = self
    other.experts = experts
    try other.validate()
    return other
  }

  /// N.
  package static let expertsLimit = Limit("2 to 1024 experts") { (2...1024).contains($0) }

  /// Throws, with the field's path, if the parts do not go together.
  package func validate() throws(InvalidInput) {
    func require(_ condition: Bool, _ path: String, _ expectation: String) throws(InvalidInput) {
      if !condition { throw InvalidInput(path, expectation) }
    }
    try Self.expertsLimit.require("experts", experts)
    let most = Limit<Int>.whole(1...max(experts - alwaysChosen, 1))
    if alwaysChosen != 0 {
      try Limit.whole(0...(experts - 1)).require("selection.always", alwaysChosen)
      guard case .topK = selection else { throw InvalidInput("selection.always", "expected none but with top-k") }
      try require(groups == nil, "groups", "expected none with experts that are always chosen")
    }
    switch selection {
    case .topK(let k), .sampled(let k), .forced(let k): try most.require("selection.count", k)
    case .topP(let mass, let k):
      try require(mass > 0 && mass <= 1, "selection.mass", "expected a number above 0 and up to 1, got \(mass)")
      try most.require("selection.count", k)
    case .threshold(let above, let k):
      try Limit.finite.require("selection.above", above)
      try most.require("selection.count", k)
    case .expertChoice(let c): try Limit.whole(1...4096).require("selection.count", c)
    case .unstated(let k, _, _): try most.require("selection.count", k)
    }
    if let noise {
      if noise.kind == .uniform || noise.kind == .uniformInput {
        try require(
          noise.width > 0 && noise.width < 1, "noise.width", "expected a number between 0 and 1, got \(noise.width)")
      } else {
        try Limit.positive.require("noise.width", noise.width)
      }
    }
    try Limit.positive.require("score.temperature", score.temperature)
    if let groups {
      try require(
        groups.count >= 1 && experts % max(groups.count, 1) == 0, "groups.count",
        "expected a divisor of \(experts), the number of experts, got \(groups.count)")
      try Limit.whole(1...groups.count).require("groups.kept", groups.kept)
      let open = groups.kept * (experts / groups.count)
      if !selection.mayBeFewer {
        try require(
          selection.most(of: experts) <= open, "selection.count",
          "expected at most \(open) experts, which the kept groups have, got \(selection.most(of: experts))")
      }
    }
    if let gate { try validate(gate) }
    if let nullExperts {
      try Limit.whole(1...(experts - 1)).require("nullExperts.count", nullExperts.count)
    }
    if let capacity { try Capacity.tokens.require("capacity.limit", capacity.limit) }
    if capacity != nil {
      try require(!selection.isJoint, "capacity", "expected none where tokens compete for experts")
    }
    for (k, loss) in auxiliaryLosses.enumerated() {
      try require(
        loss.coefficient.isFinite && loss.coefficient != 0, "auxiliaryLosses[\(k)].coefficient",
        "expected a finite number that is not 0, got \(loss.coefficient)")
      try require(
        loss.kind != .cvSquared || loss.scope != .global, "auxiliaryLosses[\(k)].scope",
        "expected batch or sequence with cv-squared, whose parts do not sum to the whole")
      try require(
        loss.probabilities != .gate || gate != nil, "auxiliaryLosses[\(k)].probabilities",
        "expected softmax or normalized-score where the gate is not stated")
    }
    if let biasUpdate {
      try require(hasSelectionBias, "biasUpdate", "expected \"selectionBias\": true with it")
      try Limit.positive.require("biasUpdate.rate", biasUpdate.rate)
    }
  }

  private func validate(_ gate: Gate) throws(InvalidInput) {
    func require(_ condition: Bool, _ path: String, _ expectation: String) throws(InvalidInput) {
      if !condition { throw InvalidInput(path, expectation) }
    }
    let most = mostChosen
    try require(
      gate.source != .sequential || most <= 2, "selection.count",
      "expected at most 2 with sequential gates, got \(most)")
    if gate.source == .subsetMarginal {
      try require(
        [.softmax, .sigmoid].contains(score.function), "score",
        "expected \"softmax\" or \"sigmoid\" with subset marginals, got \"\(score.function.rawValue)\"")
      try require(
        !selection.mayBeFewer, "selection.kind", "expected a fixed number of experts with subset marginals")
    }
    try Limit.notNegative.require("gate.epsilon", gate.epsilon)
    try Limit.notNegative.require("gate.floor", gate.floor)
    try Limit.positive.require("gate.scale", gate.scale)
    try Limit.positive.require("gate.factor", gate.gradientFactor)
    try require(!gate.outputScales.isEmpty, "gate.outputScales", "expected at least one number, got none")
    try require(
      gate.outputScales.allSatisfy { $0.isFinite && $0 > 0 }, "gate.outputScales", "expected finite numbers above 0")
  }
}
