/// Draws outcomes of an estimator.
///
/// - Complexity: O(outcomes) once, then O(log outcomes) a draw.
public struct OutcomeSampler: Sendable {
  /// What is sampled.
  public let outcomes: OutcomeDistribution
  private let cumulative: [Double]

  /// Prepares to sample.
  public init(_ outcomes: OutcomeDistribution) {
    self.outcomes = outcomes
    let probabilities =
      outcomes.samples == 1
      ? outcomes.outcomes.map(\.probability)
      : outcomes.distribution.support.map { outcomes.distribution.probabilities[$0] }
    var sum = CompensatedSum()
    cumulative = probabilities.map {
      sum += $0
      return sum.value
    }
  }

  /// One run of the estimator.
  public func sample(using generator: inout some RandomNumberGenerator) -> Outcome {
    if outcomes.samples == 1 { return outcomes.outcomes[place(using: &generator)] }
    return outcomes.run(places: (0..<outcomes.samples).map { _ in place(using: &generator) })
  }

  /// The first place whose cumulative probability exceeds a uniform draw; a place of probability 0 is never returned.
  private func place(using generator: inout some RandomNumberGenerator) -> Int {
    let total = cumulative[cumulative.count - 1]
    let draw = generator.nextOpenUnit() * total
    var low = 0
    var high = cumulative.count - 1
    while low < high {
      let middle = (low + high) / 2
      if cumulative[middle] > draw { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
