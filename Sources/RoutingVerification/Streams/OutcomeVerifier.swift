import RoutingCore

/// Judges a foreign implementation that was driven through all of its outcomes: gradients, probabilities and multipliers
/// outcome by outcome where it tells what it drew, and its exact moments in any case.
public enum OutcomeVerifier {
  /// The verdict: proved, to the tolerance, or refuted.
  ///
  /// Probabilities and multipliers may differ by the relative tolerance, both being of order one; gradients by ε.
  ///
  /// - Precondition: every outcome has as many coordinates as the claim.
  public static func verdict(on outcomes: [ForeignOutcome], claim: Claim, criteria: Criteria) -> Evidence {
    let tolerance = criteria.tolerance(of: claim)
    var parts: [Evidence.Part] = []
    var counterExample: ForeignCounterExample?
    let draws = outcomes.compactMap(\.draw)
    if let claimed = claim.outcomes, draws.count == outcomes.count,
      var conformance = try? ConditionalConformance(
        with: claimed, tolerance: tolerance, tellsCoins: draws.allSatisfy { $0.coins != nil })
    {
      counterExample = mismatch(of: outcomes, draws: draws, with: &conformance, criteria.relativeTolerance)
      let coverage = conformance.coverage
      parts.append(
        .conformance(
          Evidence.Conformance(
            verdict: counterExample == nil ? .proved : .refuted, outcomesSeen: coverage.seen,
            outcomes: coverage.all, unseenProbability: coverage.unseenProbability,
            largestDeviation: conformance.largestDeviation)))
    }
    let moments = ExactMomentComparison(
      of: outcomes, with: claim, tolerance: tolerance, probabilityTolerance: criteria.relativeTolerance)
    parts.append(.moments(moments))
    counterExample = counterExample ?? moments.counterExample
    return Evidence(
      verdict: counterExample == nil ? .proved : .refuted, claim: claim, criteria: criteria, tolerance: tolerance,
      detectableBias: criteria.detectableBias(of: claim), samples: outcomes.count, smallestDetectableBias: nil,
      requiredSamples: nil, parts: parts, counterExample: counterExample, seed: nil)
  }

  /// The first outcome that is not the claim's, or a group of outcomes with another probability.
  private static func mismatch(
    of outcomes: [ForeignOutcome], draws: [ForeignDraw], with conformance: inout ConditionalConformance,
    _ tolerance: Double
  ) -> ForeignCounterExample? {
    var totals = [Double](repeating: 0, count: conformance.groupProbabilities.count)
    for (row, outcome) in outcomes.enumerated() {
      let draw = draws[row]
      // What never happens may be listed or left out.
      guard outcome.probability > 0 else { continue }
      switch conformance.compare(outcome.gradient, of: draw, row: row) {
      case .failure(let mismatch):
        if mismatch.counterExample.kind == .unknownOutcome, outcome.probability <= tolerance { continue }
        return mismatch.counterExample
      case .success(let group):
        totals[group] += outcome.probability
        if let found = outcome.multiplier.map({ conformance.arranged($0, of: draw) }),
          !conformance.members(of: group).contains(where: { agrees($0.multiplier, with: found, tolerance) })
        {
          return ForeignCounterExample(
            .multiplier, row: row, draw: draw, found: found,
            expected: conformance.members(of: group).first?.multiplier ?? [])
        }
      }
    }
    for (group, expected) in conformance.groupProbabilities.enumerated() {
      guard (totals[group] - expected).magnitude > tolerance else { continue }
      let outcome = conformance.members(of: group)[0]
      return ForeignCounterExample(
        .probability, draw: ForeignDraw(choice: outcome.choice, coins: outcome.coins), found: [totals[group]],
        expected: [expected])
    }
    return nil
  }

  private static func agrees(_ own: [Double]?, with found: [Double], _ tolerance: Double) -> Bool {
    guard let own else { return true }
    return own.count == found.count && zip(own, found).allSatisfy { ($0 - $1).magnitude <= tolerance }
  }
}
