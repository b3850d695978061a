/// Draws outcomes of an estimator.
///
/// A draw is the first place whose cumulative probability exceeds a uniform number. A table says where to
/// start looking for it: for each of B equal intervals, B a power of two, the place that the interval's
/// beginning belongs to.
///
/// - Complexity: O(outcomes) once, then O(1) a draw on average.
public struct OutcomeSampler: Sendable {
  /// What is sampled.
  package let outcomes: OutcomeDistribution
  private let cumulative: [Double]
  private let starts: [Int32]

  /// Prepares to sample.
  public init(_ outcomes: OutcomeDistribution) {
    self.outcomes = outcomes
    let probabilities =
      outcomes.samples == 1
      ? outcomes.outcomes.map(\.probability)
      : outcomes.distribution.support.map { outcomes.distribution.probabilities[$0] }
    var sum = CompensatedSum()
    let cumulative = probabilities.map {
      sum += $0
      return sum.value
    }
    var intervals = 1
    while intervals < cumulative.count { intervals *= 2 }
    var place = 0
    let total = cumulative[cumulative.count - 1]
    starts = (0..<intervals).map { interval in
      let beginning = Double(interval) / Double(intervals) * total
      while place < cumulative.count - 1, cumulative[place] <= beginning { place += 1 }
      return Int32(place)
    }
    self.cumulative = cumulative
  }

  /// One run of the estimator.
  public func sample(using generator: inout some RandomNumberGenerator) -> Outcome {
    if outcomes.samples <= 2 { return outcomes.outcomes[index(using: &generator)] }
    return outcomes.run(places: (0..<outcomes.samples).map { _ in place(using: &generator) })
  }

  /// Where the outcome of one run stands in the list.
  ///
  /// - Precondition: every run is in the list, which holds for one and for two draws.
  @inline(__always)
  package func index(using generator: inout some RandomNumberGenerator) -> Int {
    precondition(outcomes.samples <= 2, "runs of \(outcomes.samples) draws are not listed")
    let first = place(using: &generator)
    guard outcomes.samples == 2 else { return first }
    return first * cumulative.count + place(using: &generator)
  }

  /// How often each outcome came up in so many runs, `[outcomes]`; see ``index(using:)``.
  package func counts(of runs: Int, using generator: inout some RandomNumberGenerator) -> [Int] {
    var counts = [Int](repeating: 0, count: outcomes.outcomes.count)
    for _ in 0..<runs { counts[index(using: &generator)] += 1 }
    return counts
  }

  /// The gradient of one run of the estimator; `places` is scratch.
  package func sample(
    into gradient: inout [Double], places: inout [Int], using generator: inout some RandomNumberGenerator
  ) {
    places.removeAll(keepingCapacity: true)
    if outcomes.samples == 1 {
      for k in gradient.indices { gradient[k] = 0 }
      outcomes.addGradient(at: place(using: &generator), to: &gradient)
    } else {
      for _ in 0..<outcomes.samples { places.append(place(using: &generator)) }
      outcomes.average(ofPairs: places, into: &gradient)
    }
  }

  /// The first place whose cumulative probability exceeds a uniform draw; a place of probability 0 is never
  /// returned.
  @inline(__always)
  private func place(using generator: inout some RandomNumberGenerator) -> Int {
    let last = cumulative.count - 1
    let unit = generator.nextOpenUnit()
    let draw = unit * cumulative[last]
    // The product is exact, so the interval's beginning is not above the draw.
    var place = Int(starts[Int(unit * Double(starts.count))])
    while place < last, cumulative[place] <= draw { place += 1 }
    return place
  }
}
