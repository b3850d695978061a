import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

private let worst = WorstError("subset-moments-mpmath.json")

/// Estimators that draw subsets against 500-digit arithmetic, to 1e-12 of the larger of target and largest gradient of an outcome.
@Suite("Subsets' moments against 500-digit arithmetic", .reporting(worst))
struct SubsetMomentsTests {
  static let bound = 1e-12

  @Test func fileIsComplete() {
    #expect(SubsetMoments.cases.count == 81)
    let found = Set(SubsetMoments.cases.flatMap { $0.estimators.map { $0.estimator.prefix { $0 != ":" } } })
    let registered = EstimatorRegistry.standard.filter { $0.claims.subsets != nil }.map { Substring(type(of: $0).id) }
    #expect(found == Set(registered))
  }

  @Test(arguments: SubsetMoments.cases)
  func agrees(_ reference: SubsetMoments.Case) throws {
    let problem = try reference.routed()
    for entry in reference.estimators {
      let place = "\(entry.estimator) on \(reference.testDescription)"
      let estimator = try EstimatorSpecifications.finite(entry.estimator)
      let outcomes = try estimator.outcomes(of: problem)
      #expect(outcomes.count == entry.outcomes, "\(place)")
      let scale = outcomes.outcomes.indices.reduce(0) { largest, at in
        outcomes.gradient(of: outcomes.outcomes[at]).reduce(largest) { max($0, $1.magnitude) }
      }
      let values = try problem.evaluations(at: outcomes.outcomes.map(\.choice)).map(\.value.magnitude).reduce(0, max)
      for target in GradientTarget.allCases {
        func found() throws -> [Double] { try target.gradient(of: problem, subsets: estimator.claims.subsets) }
        guard let expected = entry.targets[target.rawValue] else {
          #expect(throws: Unavailable.self) { try found() }
          continue
        }
        expectClose(
          try found(), expected.values, relative: Self.bound, scale: max(scale, values), to: worst, quantity: "target",
          "\(target.rawValue) of \(place)")
      }
      for wanted in [false, true] {
        let moments = outcomes.moments(covariance: wanted)
        expectClose(
          moments.mean, entry.mean.values, relative: Self.bound, scale: scale, to: worst, quantity: "mean", place)
        expectClose(
          moments.variance, entry.variance.values, relative: Self.bound, scale: scale * scale, to: worst,
          quantity: "variance", place)
        guard wanted, let expected = entry.covariance else { continue }
        expectClose(
          moments.covariance?.elements ?? [], expected.flatMap(\.values), relative: Self.bound, scale: scale * scale,
          to: worst, quantity: "covariance", place)
      }
      // Without a list, where the objective is linear.
      guard let closed = try estimator.momentsInClosedForm(on: problem, covariance: true) else { continue }
      #expect(problem.isLinear)
      expectClose(
        closed.mean, entry.mean.values, relative: Self.bound, scale: scale, to: worst, quantity: "closed mean", place)
      expectClose(
        closed.variance, entry.variance.values, relative: Self.bound, scale: scale * scale, to: worst,
        quantity: "closed variance", place)
      expectClose(
        closed.covariance?.elements ?? [], outcomes.moments(covariance: true).covariance?.elements ?? [],
        relative: Self.bound, scale: scale * scale, to: worst, quantity: "closed covariance", place)
    }
  }
}
