import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

/// Logits 700 to 1390 apart and losses up to 1e300, against 3000-digit arithmetic: a probability there has lost digits or
/// is 0, its product with the loss is an ordinary number, and every coordinate of it is right to 1e-12.
@Suite struct DistantLogitsTests {
  @Test func fileIsComplete() throws {
    #expect(try ReferenceMoments.distant.get().cases.count == 72)
  }

  /// Right to 1e-12, or both smaller than what Float64 has digits for, or than `floor`.
  private func expectEach(
    _ actual: [Double], _ expected: [ReferenceNumber], floor: Double = 0, _ place: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(actual.count == expected.count, sourceLocation: sourceLocation)
    for (a, e) in zip(actual, expected) {
      expectClose(
        a, e.value, within: max(1e-12 * e.value.magnitude, 1e-300, floor), place, sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: ReferenceMoments.distantCases)
  func targets(_ reference: ReferenceMoments.Case) throws {
    let problem = try reference.routed()
    expectEach([try problem.expectedLoss()], [reference.expectedLoss], reference.name)
    for (name, expected) in reference.targets {
      let target = try #require(GradientTarget(rawValue: name))
      expectEach(try target.gradient(of: problem), expected, "\(name) of \(reference.name)")
    }
    for (name, expected) in reference.pairTargets ?? [:] where reference.support.count > 2 {
      let target = try #require(GradientTarget(rawValue: name))
      expectEach(try target.gradient(of: problem, draws: 2), expected, "\(name) of pairs of \(reference.name)")
    }
  }

  @Test(arguments: ReferenceMoments.distantCases)
  func estimators(_ reference: ReferenceMoments.Case) throws {
    let problem = try reference.routed()
    for entry in reference.estimators {
      let place = "\(entry.estimator) on \(reference.name)"
      let outcomes = try EstimatorRegistry.estimator(entry.estimator).finiteOutcomes(on: problem)
      // A variance that vanishes by cancellation is left with the square of its samples' rounding error: of the mean's,
      // and, where a baseline is taken off values of about one, of theirs.
      func floor(_ size: Double) -> Double { (1e-15 * size) * (1e-15 * size) }
      let size = entry.mean.reduce(1) { max($0, $1.value.magnitude) }
      for moments in [outcomes.moments(), outcomes.moments(covariance: true)] {
        expectEach(moments.mean, entry.mean, place)
        // Too large for Float64 is not wrong; it is refused.
        for (variance, expected) in zip(moments.variance, entry.variance) where variance.isFinite {
          expectEach([variance], [expected], floor: floor(size), "variance of \(place)")
        }
      }
    }
  }

  /// `P(ĝ·∇ > 0)` is a matter of signs, which neither underflow nor a logit's distance takes away.
  @Test(arguments: [5.0, 40, 700, 740, 800, 1000])
  func descent(_ gap: Double) throws {
    let problem = try RoutedProblem(
      .categorical(
        CategoricalProblem(logits: [0, -gap], objective: try Linear(coefficients: [0, 1e150]))))
    for estimator in [StraightThrough(), ReinMax(), Exact()] as [any GradientEstimator] {
      let assessment = try Assessment(of: estimator, on: problem)
      expectClose(try #require(assessment.descentProbability), 1, within: 1e-15)
    }
    // The far choice alone has a reward, and goes up; the near one has none.
    let reinforce = try Assessment(of: Reinforce(), on: problem)
    #expect(reinforce.descentProbability == problem.distribution.probabilities[1])
  }
}
