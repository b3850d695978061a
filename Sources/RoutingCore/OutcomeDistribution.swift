/// Everything that can happen when an estimator is run once on a problem: the one list from which its exact
/// moments, its samples and its conditional gradients are read.
public struct OutcomeDistribution: Sendable {
  /// π of the first draw.
  public let distribution: RoutingDistribution
  /// π' of a second draw, by the first draw; empty for estimators that draw once.
  public let followUps: [Int: RoutingDistribution]
  /// The outcomes; with ``samples`` above 1, the pairs (i, j) in row-major order over the support.
  public let outcomes: OutcomeList
  /// K. With K = 1 each outcome is a sample. With K ≥ 2 the estimator draws K independent experts, and its
  /// sample is the average of the pairs' gradients h(i, j) over the ordered pairs of distinct draws (a
  /// U-statistic).
  public let samples: Int
  /// Whether choices are sets: listed in increasing order, which says nothing about when they were drawn.
  package var areSets = false

  /// A list of outcomes whose probabilities sum to one.
  public init(
    distribution: RoutingDistribution, followUps: [Int: RoutingDistribution] = [:], outcomes: some Sequence<Outcome>
  ) {
    self.distribution = distribution
    self.followUps = followUps
    self.outcomes = OutcomeList(storage: .listed(Array(outcomes)))
    self.samples = 1
  }

  /// Outcomes of two draws; with `samples` the average over the pairs of so many independent ones, of a symmetric kernel.
  package init(_ pairs: PairOutcomes, samples: Int = 1) {
    self.distribution = pairs.first
    self.followUps = pairs.followUps
    self.outcomes = OutcomeList(storage: .pairs(pairs))
    self.samples = samples
  }

  /// The average over the pairs of K independent draws, given by its symmetric kernel.
  ///
  /// - Parameters:
  ///   - distribution: π.
  ///   - samples: K ≥ 2.
  ///   - kernel: h(i, j) = h(j, i), for experts i and j of the support.
  public init(
    distribution: RoutingDistribution, samples: Int, multiplier: ((Int) -> Double)?,
    kernel: (Int, Int) -> OutcomeGradient
  ) {
    precondition(samples >= 2, "an average over pairs needs two samples, got \(samples)")
    let p = distribution.probabilities
    self.distribution = distribution
    self.followUps = [:]
    self.samples = samples
    let pairs = distribution.support.flatMap { i in
      distribution.support.map { j in
        Outcome(
          choice: [i, j], probability: p[i] * p[j], multiplier: multiplier.map { [$0(i), $0(j)] },
          gradient: kernel(i, j)
        ).rooted(distribution.root(i, j))
      }
    }
    self.outcomes = OutcomeList(storage: .listed(pairs))
  }

  /// The number of experts.
  public var experts: Int { distribution.experts }

  /// The number of outcomes of one run, or nil if it passes Int's range.
  public var count: Int? {
    guard samples > 2 else { return outcomes.count }
    var count = 1
    for _ in 0..<samples {
      let (product, overflow) = count.multipliedReportingOverflow(by: distribution.support.count)
      guard !overflow else { return nil }
      count = product
    }
    return count
  }

  /// The gradient sample of an outcome, written out, `[experts]`.
  public func gradient(of outcome: Outcome) -> [Double] {
    var vector = [Double](repeating: 0, count: experts)
    add(outcome.gradient, choice: outcome.choice.first, to: &vector)
    return vector
  }

  /// The gradient sample of the outcome at a place of the list, `[experts]`.
  package func gradient(at place: Int) -> [Double] {
    var vector = [Double](repeating: 0, count: experts)
    addGradient(at: place, to: &vector)
    return vector
  }

  /// Adds the gradient sample of the outcome at a place of the list to a vector, without writing it out.
  package func addGradient(at place: Int, to vector: inout [Double]) {
    switch outcomes.storage {
    case .listed(let outcomes): add(outcomes[place].gradient, choice: outcomes[place].choice.first, to: &vector)
    case .pairs(let pairs):
      let terms = pairs.terms(at: place)
      add(terms.0, to: &vector)
      add(terms.1, to: &vector)
    }
  }

  /// Adds a gradient sample to a vector.
  func add(_ gradient: OutcomeGradient, choice: Int?, to vector: inout [Double]) {
    switch gradient {
    case .score(let weight):
      guard let choice else { preconditionFailure("a score outcome has a choice") }
      add(ScoreTerm(choice: choice, weight: weight), to: &vector)
    case .scores(let terms): for term in terms { add(term, to: &vector) }
    case .dense(let values): for k in vector.indices { vector[k] += values[k] }
    }
  }

  private func add(_ term: ScoreTerm, to vector: inout [Double]) {
    let drawn = term.after.flatMap { followUps[$0] } ?? distribution
    for k in drawn.support where k != term.choice { vector[k] -= drawn.share(k, of: term.weight) }
    vector[term.choice] += drawn.complementShare(term.choice, of: term.weight)
  }
}

// MARK: - Runs of several draws, written out

extension OutcomeDistribution {
  /// The largest number of outcomes that ``enumerated()`` writes out.
  package static let enumerationLimit = 1 << 20

  /// Every outcome of one run; for more than two draws, all the K-tuples.
  ///
  /// - Throws: ``Unavailable`` if there are more than `enumerationLimit` of them.
  public func enumerated() throws(Unavailable) -> [Outcome] {
    guard samples > 2 else { return Array(outcomes) }
    guard let count, count <= Self.enumerationLimit else {
      throw Unavailable(
        "has \(distribution.support.count)^\(samples) outcomes, more than the \(Self.enumerationLimit) written out"
      )
    }
    let width = distribution.support.count
    return (0..<count).map { index in
      var places = [Int](repeating: 0, count: samples)
      var rest = index
      for k in places.indices.reversed() { (rest, places[k]) = rest.quotientAndRemainder(dividingBy: width) }
      return run(places: places)
    }
  }

  /// The outcome of K draws at the given places of the support.
  func run(places: [Int]) -> Outcome {
    let support = distribution.support
    if samples == 2 { return outcomes[places[0] * support.count + places[1]] }  // what is listed, to the bit
    var gradient = [Double](repeating: 0, count: experts)
    average(ofPairs: places, into: &gradient)
    let hasMultiplier = outcomes.first?.multiplier != nil
    return Outcome(
      choice: places.map { support[$0] },
      probability: places.reduce(1) { $0 * distribution.probabilities[support[$1]] },
      multiplier: hasMultiplier
        ? places.compactMap { outcomes[$0 * support.count + $0].multiplier?[0] } : nil,
      gradient: .dense(gradient))
  }

  /// Replaces a vector by the average of h over the pairs of draws at the given places of the support.
  func average(ofPairs places: [Int], into vector: inout [Double]) {
    for k in vector.indices { vector[k] = 0 }
    for (a, i) in places.enumerated() {
      for j in places[..<a] {
        addGradient(at: i * distribution.support.count + j, to: &vector)  // h(i, j) = h(j, i)
      }
    }
    let pairs = Double(samples * (samples - 1) / 2)
    for k in vector.indices { vector[k] /= pairs }
  }
}
