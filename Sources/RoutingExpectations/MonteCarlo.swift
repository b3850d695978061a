import RoutingCore
import RoutingEstimators

/// Moments from seeded samples, of every estimator: a check of its sampler, what is left where nothing exact
/// is known, and for those who want to see what sampling would have told them.
///
/// Samples come in blocks, block b from stream b of the seed; blocks are merged in order. So the result does
/// not depend on the number of threads, and a run that is stopped has the bytes of one that was asked for
/// fewer samples.
///
/// - Estimators with finitely many outcomes are drawn from their list. Where it is short, only how often each
///   outcome came up is kept: integers, which merge exactly.
/// - Those with continuous noise are run (``SamplingEstimator``), their samples' powers are summed.
package enum MonteCarlo {
  /// The number of samples unless it is stated.
  package static let standardSamples = 100_000
  /// What the number of samples may be: a variance takes two, and more than this would take years.
  package static let samplesLimit = Limit.whole(2...1_000_000_000_000)

  /// The samples of a block of finite estimators, and the length up to which their lists are short.
  static let blockSize = 1 << 14
  /// The samples of a block of continuous estimators, which cost more.
  static let continuousBlockSize = 1 << 10

  /// What a run has given.
  package struct Run: Sendable, Equatable {
    /// Moments, the number of samples that they are from, and the largest standard errors.
    package var estimate: EstimatedMoments
    /// All standard errors.
    package var standardErrors: StandardErrors
    /// The share of samples with a positive inner product, if a direction was given.
    package var descentProbability: Double?
    /// Whether as many samples were drawn as were asked for.
    package var isComplete: Bool
  }

  /// Mean, variance and, on request, covariance of any estimator from samples, with standard errors.
  ///
  /// - Parameters:
  ///   - estimator: what is sampled.
  ///   - problem: on which problem.
  ///   - sampling: how much, from which seed, on how many threads; at least two samples.
  ///   - covariance: whether the full covariance is wanted.
  ///   - direction: where given, the share of samples with `ĝ·direction > 0` is returned too.
  ///   - continuing: told now and then how many samples there are, and in the end; if it returns false no
  ///     more are drawn. It is called on the caller's thread.
  /// - Throws: `Unavailable` if the estimator is not defined on the problem.
  package static func moments(
    of estimator: any GradientEstimator, on problem: RoutedProblem, sampling: AssessmentOptions.Sampling,
    covariance: Bool = false, descentAlong direction: [Double]? = nil,
    continuing: (_ samples: Int) -> Bool = { _ in true }
  ) throws(Unavailable) -> Run {
    try estimator.requireDefined(on: problem)
    switch estimator.randomness {
    case .finite(let estimator):
      let outcomes: OutcomeDistribution
      do throws(Unavailable) {
        outcomes = try estimator.outcomes(of: problem)
      } catch {
        // What is too long to list may still be run.
        guard let estimator = estimator as? any SamplingEstimator else { throw error }
        return try sampled(
          estimator, on: problem, sampling: sampling, covariance: covariance, direction: direction,
          continuing: continuing)
      }
      return moments(
        of: outcomes, sampling: sampling, covariance: covariance, descentAlong: direction, continuing: continuing)
    case .continuous(let estimator):
      return try sampled(
        estimator, on: problem, sampling: sampling, covariance: covariance, direction: direction,
        continuing: continuing)
    }
  }

  /// The same of a list of outcomes.
  package static func moments(
    of outcomes: OutcomeDistribution, sampling: AssessmentOptions.Sampling, covariance: Bool = false,
    descentAlong direction: [Double]? = nil, continuing: (_ samples: Int) -> Bool = { _ in true }
  ) -> Run {
    let sampler = OutcomeSampler(outcomes)
    let blocks = SampleBlocks(size: blockSize, samples: sampling.samples, threads: sampling.threads)
    let pivot = outcomes.moments().mean
    var tally = SampleTally(
      pivot: pivot, covariance: covariance, direction: direction, size: outcomes.largestDeviation(from: pivot))
    if outcomes.samples <= 2, outcomes.outcomes.count <= blockSize {
      var counts = [Int](repeating: 0, count: outcomes.outcomes.count)
      _ = blocks.run(continuing: continuing) { block, count in
        var generator = Philox(seed: sampling.seed, stream: UInt64(block))
        return sampler.counts(of: count, using: &generator)
      } add: { part in
        for place in counts.indices { counts[place] += part[place] }
      }
      for (place, count) in counts.enumerated() where count > 0 {
        tally.add(outcomes.gradient(at: place), multiplicity: count)
      }
    } else {
      _ = blocks.run(continuing: continuing) { [tally] block, count in
        var generator = Philox(seed: sampling.seed, stream: UInt64(block))
        var part = tally
        var sample = [Double](repeating: 0, count: outcomes.experts)
        var places: [Int] = []
        for _ in 0..<count {
          sampler.sample(into: &sample, places: &places, using: &generator)
          part.add(sample)
        }
        return part
      } add: { part in
        tally.merge(part)
      }
    }
    return tally.run(of: sampling.samples)
  }

  private static func sampled(
    _ estimator: some SamplingEstimator, on problem: RoutedProblem, sampling: AssessmentOptions.Sampling,
    covariance: Bool, direction: [Double]?, continuing: (Int) -> Bool
  ) throws(Unavailable) -> Run {
    let sampler = try estimator.sampler(on: problem)
    let (pivot, size) = pilot(of: sampler, experts: problem.experts, seed: sampling.seed)
    var tally = SampleTally(pivot: pivot, covariance: covariance, direction: direction, size: size)
    let blocks = SampleBlocks(size: continuousBlockSize, samples: sampling.samples, threads: sampling.threads)
    _ = blocks.run(continuing: continuing) { [tally] block, count in
      var generator = Philox(seed: sampling.seed, stream: UInt64(block))
      var part = tally
      for _ in 0..<count { part.add(sampler.sample(using: &generator)) }
      return part
    } add: { part in
      tally.merge(part)
    }
    return tally.run(of: sampling.samples)
  }

  /// A mean from a few samples of a stream of their own, near enough for a pivot, and the largest deviation from it.
  private static func pilot(
    of sampler: some GradientSampler, experts: Int, seed: UInt64
  ) -> (mean: [Double], size: Double) {
    var generator = Philox(seed: seed, stream: .max)
    var mean = [Double](repeating: 0, count: experts)
    var samples: [[Double]] = []
    for count in 1...64 {
      let sample = sampler.sample(using: &generator)
      for k in mean.indices { mean[k] += (sample[k] - mean[k]) / Double(count) }
      samples.append(sample)
    }
    mean = mean.map { $0.isFinite ? $0 : 0 }
    return (mean, samples.reduce(0) { largestDeviation(of: $1, from: mean, atLeast: $0) })
  }

  fileprivate static func largestDeviation(of sample: [Double], from pivot: [Double], atLeast size: Double) -> Double {
    zip(sample, pivot).reduce(size) { max($0, ($1.0 - $1.1).magnitude) }
  }
}

extension OutcomeDistribution {
  /// The largest deviation of a coordinate of a sample from a vector, no outcome of a run being larger than its pairs'.
  fileprivate func largestDeviation(from pivot: [Double]) -> Double {
    var largest = 0.0
    for place in outcomes.indices where outcomes.law(at: place).probability > 0 {
      largest = MonteCarlo.largestDeviation(of: gradient(at: place), from: pivot, atLeast: largest)
    }
    return largest
  }
}

/// What is kept of samples.
private struct SampleTally: Sendable {
  private var accumulator: MomentAccumulator
  private var descents = 0
  private let direction: [Double]?

  init(pivot: [Double], covariance: Bool, direction: [Double]?, size: Double) {
    accumulator = MomentAccumulator(pivot: pivot, covariance: covariance, size: size)
    self.direction = direction
  }

  mutating func add(_ sample: [Double], multiplicity: Int = 1) {
    accumulator.add(sample, multiplicity: multiplicity)
    if let direction, dot(sample, direction) > 0 { descents += multiplicity }
  }

  mutating func merge(_ other: SampleTally) {
    accumulator.merge(other.accumulator)
    descents += other.descents
  }

  func run(of asked: Int) -> MonteCarlo.Run {
    let (moments, meanError, varianceError) = accumulator.estimate()
    return MonteCarlo.Run(
      estimate: EstimatedMoments(
        moments: moments, method: .monteCarlo, outcomes: nil, meanError: meanError,
        varianceError: varianceError,
        samples: accumulator.count),
      standardErrors: accumulator.standardErrors(),
      descentProbability: direction.map { _ in Double(descents) / Double(accumulator.count) },
      isComplete: accumulator.count == asked)
  }
}
