import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

private let worst = WorstError("moments-mpmath.json")

/// What every claim about accuracy in the documentation rests on: 107 problems, their targets and all
/// estimators' moments against 500-digit arithmetic, to 1e-12 of the larger of the largest coordinate and the
/// problem's scale (its square for second moments).
@Suite("Moments against 500-digit arithmetic", .reporting(worst))
struct ReferenceMomentsTests {
  static let bound = 1e-12

  @Test func fileIsComplete() throws {
    let cases = try ReferenceMoments.shared.get().cases
    #expect(cases.count == 107)
    #expect(cases.reduce(0) { $0 + $1.estimators.count } == 3323)
    let estimators = Set(cases.flatMap { $0.estimators.map { $0.estimator.split(separator: ":")[0] } })
    let finite = EstimatorRegistry.types.filter { $0 is any FiniteOutcomeEstimator.Type }
    // Those that draw subsets are in subset-moments-mpmath.json; what unordered-set is made of is in plackett-luce-mpmath.json.
    let subsets = EstimatorRegistry.standard.filter { $0.claims.subsets != nil }.map { Substring(type(of: $0).id) }
    #expect(estimators == Set(finite.map { Substring($0.id) }).subtracting(subsets + [Substring(UnorderedSet.id)]))
  }

  @Test(arguments: ReferenceMoments.cases)
  func targets(_ reference: ReferenceMoments.Case) throws {
    let problem = try reference.routed()
    let scale = reference.scale.value
    #expect(problem.distribution.support == reference.support)
    expectClose(
      [try problem.expectedLoss()], [reference.expectedLoss.value], relative: Self.bound, to: worst,
      quantity: "expected loss", reference.name)
    for target in GradientTarget.allCases {
      guard let expected = reference.targets[target.rawValue] else {
        #expect(throws: Unavailable.self) { try target.gradient(of: problem) }
        continue
      }
      expectClose(
        try target.gradient(of: problem), expected.values, relative: Self.bound, scale: scale, to: worst,
        quantity: "target", "\(target.rawValue) of \(reference.name)")
    }
    guard let pairs = reference.pairTargets else { return }
    for target in GradientTarget.allCases {
      guard let expected = pairs[target.rawValue] else {
        #expect(throws: Unavailable.self) { try target.gradient(of: problem, draws: 2) }
        continue
      }
      expectClose(
        try target.gradient(of: problem, draws: 2), expected.values, relative: Self.bound, scale: scale,
        to: worst,
        quantity: "pair target", "\(target.rawValue) of \(reference.name)")
    }
  }

  @Test(arguments: ReferenceMoments.cases)
  func estimators(_ reference: ReferenceMoments.Case) throws {
    let problem = try reference.routed()
    let scale = reference.scale.value
    for entry in reference.estimators {
      let place = "\(entry.estimator) on \(reference.name)"
      let outcomes = try EstimatorRegistry.estimator(entry.estimator).finiteOutcomes(on: problem)
      #expect(outcomes.count == entry.outcomes, "\(place)")
      let moments = outcomes.moments()
      expectClose(
        moments.mean, entry.mean.values, relative: Self.bound, scale: scale, to: worst, quantity: "mean",
        place)
      expectClose(
        moments.variance, entry.variance.values, relative: Self.bound, scale: scale * scale, to: worst,
        quantity: "variance", place)
      expectClose(
        [moments.totalVariance], [entry.totalVariance.value], relative: Self.bound, scale: scale * scale,
        to: worst,
        quantity: "total variance", place)
      guard let covariance = entry.covariance else { continue }
      // The covariance has a path of its own through dense outcomes, so its mean and variance are checked as
      // well.
      let full = outcomes.moments(covariance: true)
      expectClose(
        full.mean, entry.mean.values, relative: Self.bound, scale: scale, to: worst,
        quantity: "mean (with covariance)", place)
      expectClose(
        full.variance, entry.variance.values, relative: Self.bound, scale: scale * scale, to: worst,
        quantity: "variance (with covariance)", place)
      expectClose(
        try #require(full.covariance).elements, covariance.flatMap(\.values), relative: Self.bound,
        scale: scale * scale, to: worst, quantity: "covariance", place)
    }
  }
}
