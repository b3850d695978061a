import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

private let worst = WorstError("published code")

/// Every outcome of three published implementations, their random draws forced, against ours: the same list
/// of choices and coins, the same multipliers and gradients.
@Suite("Outcomes of published code", .reporting(worst))
struct PublishedOutcomesTests {
  static let bound = 1e-12

  @Test func filesAreComplete() throws {
    #expect(PublishedOutcomes.records("reinmax").count == 24)
    #expect(PublishedOutcomes.records("sparsemixer-v1").count == 5)
    #expect(PublishedOutcomes.records("phimoe-sparsemixer").count == 11)
  }

  @Test(arguments: PublishedOutcomes.records("reinmax"))
  func reinmax(_ record: PublishedOutcomes) throws {
    try compare(record) { record.outcomes[$0] }
  }

  @Test(arguments: PublishedOutcomes.records("phimoe-sparsemixer"))
  func phimoe(_ record: PublishedOutcomes) throws {
    #expect(record.estimator == "sparsemixer-v2-top2:reference-constants=true")
    try compare(record) { record.outcomes[$0] }
  }

  @Test(arguments: PublishedOutcomes.records("sparsemixer-v1"))
  func sparsemixer(_ record: PublishedOutcomes) throws {
    // The published code flips its coin for the argmax as well and ignores it; both sides are listed, and
    // agree.
    let argmax = try record.routed().distribution.argmax
    let kept = record.outcomes.filter { !($0.choice == [argmax] && $0.coins == [0]) }
    for outcome in record.outcomes where outcome.choice == [argmax] && outcome.coins == [0] {
      let twin = try #require(kept.first { $0.choice == [argmax] })
      #expect(twin.gradient == outcome.gradient && twin.multiplier == outcome.multiplier)
    }
    try compare(record, count: kept.count) { kept[$0] }
  }

  private func compare(
    _ record: PublishedOutcomes, count: Int? = nil, published: (Int) -> PublishedOutcomes.PublishedOutcome
  ) throws {
    let problem = try record.routed()
    let estimator = try #require(
      try EstimatorRegistry.estimator(record.estimator) as? any FiniteOutcomeEstimator)
    let ours = try estimator.outcomes(of: problem)
    // A gradient that the published code leaves as rounding is judged by the size of the others.
    let scale = record.outcomes.flatMap(\.gradient).reduce(0) { max($0, $1.magnitude) }
    try #require(ours.outcomes.count == count ?? record.outcomes.count)
    for (k, outcome) in ours.outcomes.enumerated() {
      let theirs = published(k)
      let name = record.problem.name ?? "a problem"
      let place = "\(record.estimator) on \(name), choice \(theirs.choice) \(theirs.coins)"
      #expect(outcome.choice == theirs.choice, "\(place)")
      #expect(outcome.coins == theirs.coins, "\(place)")
      expectClose(
        ours.gradient(of: outcome), theirs.gradient, relative: Self.bound, scale: scale, to: worst,
        quantity: "gradient of \(estimator.specification.prefix { $0 != ":" })", place)
      #expect((outcome.multiplier == nil) == (theirs.multiplier == nil), "\(place)")
      if let multiplier = outcome.multiplier, let expected = theirs.multiplier {
        expectClose(multiplier, expected, relative: Self.bound, to: worst, quantity: "multiplier", place)
      }
    }
  }
}
