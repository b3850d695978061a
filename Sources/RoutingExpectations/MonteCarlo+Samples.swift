import RoutingCore
import RoutingEstimators

extension MonteCarlo {
  /// Gradient samples of any estimator, written out: exactly those whose moments ``moments(of:on:sampling:covariance:descentAlong:continuing:)``
  /// takes with the same seed.
  ///
  /// They do not depend on the number of threads, and those of a shorter run are the first of a longer one.
  ///
  /// - Parameters:
  ///   - estimator: what is run.
  ///   - problem: on which problem.
  ///   - sampling: how often, from which seed, on how many threads.
  ///   - gradients: room for `[samples][experts]`, row-major.
  ///   - continuing: told now and then how many samples there are; if it returns false the rest stays as it is.
  /// - Throws: `Unavailable` if the estimator is not defined on the problem.
  /// - Precondition: `gradients` holds as many numbers.
  package static func sample(
    _ estimator: any GradientEstimator, on problem: RoutedProblem, sampling: AssessmentOptions.Sampling,
    into gradients: UnsafeMutableBufferPointer<Double>, continuing: (_ samples: Int) -> Bool = { _ in true }
  ) throws(Unavailable) {
    precondition(
      gradients.count == sampling.samples * problem.experts,
      "\(sampling.samples) samples of \(problem.experts) numbers do not fill \(gradients.count)")
    try estimator.requireDefined(on: problem)
    switch estimator.randomness {
    case .finite(let estimator):
      let outcomes: OutcomeDistribution
      do throws(Unavailable) {
        outcomes = try estimator.outcomes(of: problem)
      } catch {
        guard let estimator = estimator as? any SamplingEstimator else { throw error }
        return try run(estimator, on: problem, sampling: sampling, into: gradients, continuing: continuing)
      }
      let sampler = OutcomeSampler(outcomes)
      write(sampling, blockSize: blockSize, experts: problem.experts, into: gradients, continuing: continuing) {
        var places: [Int] = []
        return { (sample: inout [Double], generator: inout Philox) in
          sampler.sample(into: &sample, places: &places, using: &generator)
        }
      }
    case .continuous(let estimator):
      try run(estimator, on: problem, sampling: sampling, into: gradients, continuing: continuing)
    }
  }

  private static func run(
    _ estimator: some SamplingEstimator, on problem: RoutedProblem, sampling: AssessmentOptions.Sampling,
    into gradients: UnsafeMutableBufferPointer<Double>, continuing: (Int) -> Bool
  ) throws(Unavailable) {
    let sampler = try estimator.sampler(on: problem)
    write(
      sampling, blockSize: continuousBlockSize, experts: problem.experts, into: gradients, continuing: continuing
    ) {
      { (sample: inout [Double], generator: inout Philox) in sample = sampler.sample(using: &generator) }
    }
  }

  /// Writes block after block; `drawing` makes what draws the samples of one.
  private static func write(
    _ sampling: AssessmentOptions.Sampling, blockSize: Int, experts: Int,
    into gradients: UnsafeMutableBufferPointer<Double>, continuing: (Int) -> Bool,
    drawing: @Sendable () -> (inout [Double], inout Philox) -> Void
  ) {
    nonisolated(unsafe) let gradients = gradients  // blocks write to places of their own
    let blocks = SampleBlocks(size: blockSize, samples: sampling.samples, threads: sampling.threads)
    _ = blocks.run(continuing: continuing) { block, count in
      var generator = Philox(seed: sampling.seed, stream: UInt64(block))
      var sample = [Double](repeating: 0, count: experts)
      let draw = drawing()
      for row in block * blockSize..<block * blockSize + count {
        draw(&sample, &generator)
        for k in 0..<experts { gradients[row * experts + k] = sample[k] }
      }
    } add: { _ in
    }
  }
}
