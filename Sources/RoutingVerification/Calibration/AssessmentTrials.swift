import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Assesses samples of estimators whose bias and variance are known, many times: how often intervals hold the true value.
///
/// Run r takes its samples from stream r of the seed, so results do not depend on the number of threads.
package struct AssessmentTrials: Sendable {
  /// Of each interval.
  package let confidence: Double
  let seed: UInt64
  let threads: Int

  /// Prepares to run.
  package init(confidence: Double, seed: UInt64, threads: Int) {
    self.confidence = confidence
    self.seed = seed
    self.threads = threads
  }

  /// In how many runs the true value was within the limits.
  package struct Coverage: Sendable {
    /// The number of runs.
    package var runs = 0
    /// The true mean was within the radius.
    package var mean = 0
    /// Of `‖bias‖`.
    package var bias = 0
    /// Of the cosine.
    package var cosine = 0
    /// Of `tr Cov`.
    package var variance = 0
    /// Of `E‖ĝ − ∇‖²`.
    package var squaredError = 0
    /// Of `P(ĝ·∇ > 0)`.
    package var descent = 0
    /// Runs whose radius was infinite.
    package var unbounded = 0
  }

  /// Runs with so many samples each.
  ///
  /// - Throws: `AssessmentError` where the estimator is not defined, or has no finite list of outcomes.
  package func coverage(
    of estimator: any GradientEstimator, on problem: RoutedProblem, samples: Int, runs: Int
  ) throws(AssessmentError) -> Coverage {
    let truth = try Assessment(of: estimator, on: problem)
    let outcomes: OutcomeDistribution
    do throws(Unavailable) { outcomes = try estimator.finiteOutcomes(on: problem) } catch { throw .unavailable(error) }
    guard let gradient = truth.targetGradient else { throw .unavailable(Unavailable("has no target")) }
    let sampler = OutcomeSampler(outcomes)
    let gradients = outcomes.outcomes.indices.map { outcomes.gradient(at: $0) }
    // What is right to rounding is right.
    let rounding = 1e-12 * (norm(gradient) + truth.estimate.moments.totalVariance.squareRoot())
    @Sendable func holds(_ limits: ClosedRange<Double>?, _ value: Double?, _ tolerance: Double) -> Int {
      guard let limits, let value else { return 1 }
      return value >= limits.lowerBound - tolerance && value <= limits.upperBound + tolerance ? 1 : 0
    }
    let results = parallelMap(0..<runs, threads: threads) { run -> Coverage in
      var generator = Philox(seed: seed, stream: UInt64(run))
      var assessor = SampleAssessor(against: truth.target, gradient: gradient)
      for _ in 0..<samples {
        gradients[sampler.index(using: &generator)].withUnsafeBufferPointer { assessor.add($0) }
      }
      var coverage = Coverage()
      coverage.runs = 1
      guard let found = try? assessor.assessment(.init(confidence: confidence, seed: ~UInt64(run))),
        let precision = found.precision
      else { return coverage }
      let distance = norm(zip(found.moments.mean, truth.estimate.moments.mean).map { $0 - $1 })
      coverage.mean = distance <= precision.meanRadius + rounding ? 1 : 0
      coverage.bias = holds(precision.biasNorm, truth.biasNorm, rounding)
      coverage.cosine = holds(precision.cosine, truth.cosine, 1e-12)
      coverage.variance = holds(
        precision.totalVariance, truth.estimate.moments.totalVariance, 1e-12 * truth.estimate.moments.totalVariance)
      coverage.squaredError = holds(
        precision.meanSquaredError, truth.meanSquaredError, 1e-12 * (truth.meanSquaredError ?? 0))
      coverage.descent = holds(precision.descentProbability, truth.descentProbability, 1e-12)
      coverage.unbounded = precision.meanRadius.isFinite ? 0 : 1
      return coverage
    }
    return results.reduce(into: Coverage()) { sum, one in
      sum.runs += one.runs
      sum.mean += one.mean
      sum.bias += one.bias
      sum.cosine += one.cosine
      sum.variance += one.variance
      sum.squaredError += one.squaredError
      sum.descent += one.descent
      sum.unbounded += one.unbounded
    }
  }
}
