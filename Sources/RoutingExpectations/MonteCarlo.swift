import Dispatch
import RoutingCore
import RoutingEstimators

/// Moments from seeded samples: a check of the sampler, and for those who want to see what sampling would have told them.
///
/// Samples come in blocks, block b from stream b of the seed; blocks are merged in order. So the result does not depend on
/// the number of threads.
public enum MonteCarlo {
  /// The number of samples that one stream of the generator gives.
  static let blockSize = 1 << 14

  /// Mean, variance and, on request, covariance from samples, with standard errors.
  ///
  /// - Parameters:
  ///   - outcomes: what is sampled.
  ///   - sampling: how much, from which seed, on how many threads; at least two samples.
  ///   - covariance: whether the full covariance is wanted.
  ///   - direction: where given, the share of samples with `ĝ·direction > 0` is returned too.
  public static func moments(
    of outcomes: OutcomeDistribution, sampling: AssessmentOptions.Sampling, covariance: Bool = false,
    descentAlong direction: [Double]? = nil
  ) -> (estimate: EstimatedMoments, descentProbability: Double?) {
    let sampler = OutcomeSampler(outcomes)
    let pivot = outcomes.moments().mean
    let blocks = (sampling.samples + blockSize - 1) / blockSize
    var total = MomentAccumulator(pivot: pivot, covariance: covariance)
    var descents = 0
    // A wave of blocks at a time, so that memory does not grow with the number of samples.
    let wave = max(sampling.threads, 1) * 4
    for start in stride(from: 0, to: blocks, by: wave) {
      let parts = parallelMap(start..<min(start + wave, blocks), threads: sampling.threads) { block in
        var generator = Philox(seed: sampling.seed, stream: UInt64(block))
        var part = MomentAccumulator(pivot: pivot, covariance: covariance)
        var descents = 0
        for _ in 0..<min(blockSize, sampling.samples - block * blockSize) {
          let sample = outcomes.gradient(of: sampler.sample(using: &generator))
          part.add(sample)
          if let direction, dot(sample, direction) > 0 { descents += 1 }
        }
        return (part, descents)
      }
      for (part, count) in parts {
        total.merge(part)
        descents += count
      }
    }
    let (moments, meanError, varianceError) = total.estimate()
    let estimate = EstimatedMoments(
      moments: moments, method: .monteCarlo, outcomes: nil, meanError: meanError, varianceError: varianceError,
      samples: sampling.samples)
    return (estimate, direction.map { _ in Double(descents) / Double(sampling.samples) })
  }
}

/// `body` of every index, in order, on up to `threads` threads.
public func parallelMap<Result: Sendable>(
  _ indices: Range<Int>, threads: Int, _ body: @Sendable (Int) -> Result
) -> [Result] {
  let workers = min(max(threads, 1), indices.count)
  guard workers > 1 else { return indices.map(body) }
  // Each worker owns every `workers`-th slot; no slot is written twice.
  return [Result?](unsafeUninitializedCapacity: indices.count) { buffer, count in
    buffer.initialize(repeating: nil)
    nonisolated(unsafe) let slots = buffer
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      for slot in stride(from: worker, to: slots.count, by: workers) {
        slots[slot] = body(indices.lowerBound + slot)
      }
    }
    count = indices.count
  }.map { result in
    guard let result else { preconditionFailure("a parallel map left a slot empty") }
    return result
  }
}
