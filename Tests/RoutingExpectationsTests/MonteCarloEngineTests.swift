import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@testable import RoutingExpectations

/// The Monte Carlo engine: the same bytes on any number of threads, calibrated errors, interruption; every
/// estimator.
///
/// Error rates: comparisons draw on the suite's budget (``FalseFailures``), with bounds that hold for every
/// n. Power: with n samples a mean that is off by `12 σ/√n` is found with a probability above 0.999.
@Suite(.seeded) struct MonteCarloEngineTests {
  static func problem(_ kind: RoutingProblem.Kind, experts: Int = 3) throws -> RoutedProblem {
    var maker = ProblemMaker("Monte Carlo engine")
    return try maker.problem("\(kind)", kind: kind, type: "log-cosh", experts: experts, width: 2).problem
  }

  // MARK: - Threads

  /// Counts of a short list, a list of more draws than are counted, and continuous noise.
  static let estimators: [any GradientEstimator] = [
    SparseMixer(), Reinforce(baseline: .leaveOneOut(samples: 2)),
    Reinforce(baseline: .leaveOneOut(samples: 3)),
    GumbelSoftmaxST(temperature: 0.5), GumbelRao(temperature: 0.5, conditionalSamples: 2),
  ]

  @Test(arguments: estimators.indices)
  func threadsDoNotMatter(_ index: Int) throws {
    let estimator = Self.estimators[index]
    let problem = try Self.problem(.mixture)
    // Several blocks, waves on one thread, and a block that is not full.
    let samples = estimator is any FiniteOutcomeEstimator ? 3 * MonteCarlo.blockSize + 7 : 6151
    func run(_ threads: Int) throws -> MonteCarlo.Run {
      try MonteCarlo.moments(
        of: estimator, on: problem, sampling: .init(samples: samples, seed: 5, threads: threads),
        covariance: true, descentAlong: [1, -1, 0.5])
    }
    let one = try run(1)
    #expect(one.isComplete && one.estimate.samples == samples)
    for threads in [2, 3, 7] { #expect(try run(threads) == one, "\(threads) threads") }
  }

  @Test func threadsDoNotMatterInFloat32() {
    let sampler = GumbelSamples(
      logits: [0.5, -1, 0.25], temperature: 0.7, chosen: [1, 0.5, -1], others: [0, 0.25, 1])
    let one = sampler.moments(samples: 5 << 14 | 100, seed: 3, threads: 1)
    for threads in [2, 3, 7] {
      #expect(sampler.moments(samples: 5 << 14 | 100, seed: 3, threads: threads) == one)
    }
    let other = sampler.moments(samples: 1000, seed: 4, threads: 1)
    #expect(sampler.moments(samples: 1000, seed: 3, threads: 1) != other)
  }

  // MARK: - Agreement

  @Test(arguments: EstimatorRegistry.types.indices)
  func finiteEstimatorsAgree(_ index: Int) throws {
    guard let estimator = EstimatorRegistry.standard[index] as? any FiniteOutcomeEstimator else { return }
    for kind in estimator.claims.kinds {
      let problem = try Self.problem(kind, experts: 4)
      let outcomes = try estimator.outcomes(of: problem)
      let exact = outcomes.moments(covariance: true)
      let n = 20_000
      let run = try MonteCarlo.moments(
        of: estimator, on: problem, sampling: .init(samples: n, seed: TestSeed.value, threads: 2),
        covariance: true)
      let all = try outcomes.enumerated().map { ($0.probability, outcomes.gradient(of: $0)) }
      try check(run, exact: exact, samples: n, "\(estimator.specification), \(kind)") { k, l in
        // The variance and a bound of d_k d_l about its mean.
        var second = 0.0
        var range = 0.0
        for (probability, g) in all {
          let product = (g[k] - exact.mean[k]) * (g[l] - exact.mean[l])
          second += probability * product * product
          range = max(range, product.magnitude)
        }
        let entry = exact.covariance?[k, l] ?? 0
        return (max(second - entry * entry, 0), range + entry.magnitude)
      }
    }
  }

  /// Against the integrals; `|ĝ_j| ≤ spread/4τ`, and `Var (d_k d_l) ≤ range⁴`.
  @Test(arguments: [0.5, 2])
  func continuousEstimatorsAgree(_ temperature: Double) throws {
    let problem = try Self.problem(.categorical)
    let estimator = GumbelSoftmaxST(temperature: temperature)
    let exact = try GumbelIntegral.moments(of: estimator, on: problem, covariance: true).moments
    var spread = 0.0
    for i in 0..<3 {
      let gradient = try problem.choiceGradient(at: i)
      spread = max(spread, (gradient.max() ?? 0) - (gradient.min() ?? 0))
    }
    let range = spread / (2 * temperature)
    let run = try MonteCarlo.moments(
      of: estimator, on: problem, sampling: .init(samples: 20_000, seed: TestSeed.value, threads: 2),
      covariance: true)
    try check(run, exact: exact, samples: 20_000, "tau \(temperature)") { k, l in
      (range * range * exact.variance[k].squareRoot() * exact.variance[l].squareRoot(), range * range)
    }
  }

  /// Sampled mean and covariance against exact ones: a sampled covariance is the mean of `d_k d_l` about the
  /// true mean, less the product of the sample mean's own deviations.
  private func check(
    _ run: MonteCarlo.Run, exact: Moments, samples n: Int, _ name: String,
    product: (Int, Int) -> (variance: Double, range: Double)
  ) throws {
    let sampled = run.estimate.moments
    let covariance = try #require(sampled.covariance)
    let truth = try #require(exact.covariance)
    let shifts = exact.mean.indices.map { k in
      StatisticalBounds.meanDeviation(
        samples: n, variance: exact.variance[k], range: product(k, k).range.squareRoot() * 2)
    }
    for k in exact.mean.indices {
      expectClose(sampled.mean[k], exact.mean[k], within: shifts[k] + 1e-14, "\(name), mean \(k)")
      expectClose([covariance[k, k]], [sampled.variance[k]], relative: 1e-9, scale: 1e-12)
      for l in k..<exact.mean.count {
        let (variance, range) = product(k, l)
        let allowed =
          StatisticalBounds.meanDeviation(samples: n, variance: variance, range: range) + shifts[k]
          * shifts[l]
          + truth[k, l].magnitude / Double(n)
        expectClose(
          covariance[k, l], truth[k, l], within: allowed * Double(n) / Double(n - 1) + 1e-14,
          "\(name), covariance \(k), \(l)")
      }
    }
  }

  /// The Float32 sampler on W2's objective, against the integrals.
  @Test func float32Agrees() throws {
    let theta = [0.7, -1.1, 0.3, 1.6]
    let targets = [0.2, 1.3, -0.4, 0.8]
    let temperature = 0.7
    let objective = try SeparablePower(exponent: 3, targets: targets)
    let problem = try RoutedProblem(.categorical(CategoricalProblem(logits: theta, objective: objective)))
    let exact = try GumbelIntegral.moments(of: GumbelSoftmaxST(temperature: temperature), on: problem).moments
    let (chosen, others) = (
      objective.gradient(at: [1, 1, 1, 1]), objective.gradient(at: [0, 0, 0, 0])
    )
    let n = 100_000
    let sampled = GumbelSamples(logits: theta, temperature: temperature, chosen: chosen, others: others)
      .moments(
        samples: n, seed: TestSeed.value, threads: 2)
    let all = chosen + others
    let range = ((all.max() ?? 0) - (all.min() ?? 0)) / (4 * temperature)
    for k in theta.indices {
      let shift = StatisticalBounds.meanDeviation(samples: n, variance: exact.variance[k], range: 2 * range)
      expectClose(sampled.mean[k], exact.mean[k], within: shift + 1e-6, "mean \(k)")
      let widening = StatisticalBounds.meanDeviation(
        samples: n, variance: 4 * range * range * exact.variance[k], range: 4 * range * range)
      expectClose(
        sampled.variance[k], exact.variance[k], within: widening + shift * shift + 1e-6, "variance \(k)")
    }
  }

  @Test func oneExpertGivesZeros() throws {
    let one = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [3], source: .table(values: [1], gradients: [[2]]))))
    for estimator in [GumbelSoftmaxST(), Reinforce(), GumbelRao()] as [any GradientEstimator] {
      let run = try MonteCarlo.moments(of: estimator, on: one, sampling: .init(samples: 10, seed: 1))
      #expect(run.estimate.moments.mean == [0] && run.estimate.moments.variance == [0])
    }
    let sampler = GumbelSamples(logits: [3], temperature: 0.7, chosen: [0.1], others: [0.3])
    #expect(sampler.moments(samples: 100, seed: 1, threads: 1) == Moments(mean: [0], variance: [0]))
  }

  // MARK: - Standard errors

  /// Over many runs, the share within one standard error is that of a normal number, 0.683; 0.03 are left
  /// for what n = 2000 samples of few values lack of it. Power: errors too large or too small by a half
  /// (shares of 0.87 and 0.50) are found with a probability above 0.99.
  @Test func standardErrorsAreCalibrated() throws {
    let problem = try Self.problem(.categorical)
    let estimator = Reinforce()
    let outcomes = try estimator.outcomes(of: problem)
    let exact = outcomes.moments(covariance: true)
    let truth = try #require(exact.covariance)
    let runs = 1000
    let results = parallelMap(0..<runs, threads: 2) { run in
      MonteCarlo.moments(
        of: outcomes, sampling: .init(samples: 2000, seed: TestSeed.value &+ UInt64(run)), covariance: true)
    }
    var within: [String: Int] = [:]
    for run in results {
      let (moments, errors) = (run.estimate.moments, run.standardErrors)
      let (covariance, spread) = (try #require(moments.covariance), try #require(errors.covariance))
      #expect(
        run.estimate.meanError == errors.mean.max() && run.estimate.varianceError == errors.variance.max())
      for k in 0..<3 {
        #expect(spread[k, k] == errors.variance[k])
        if (moments.mean[k] - exact.mean[k]).magnitude <= errors.mean[k] {
          within["mean \(k)", default: 0] += 1
        }
        for l in k..<3 where (covariance[k, l] - truth[k, l]).magnitude <= spread[k, l] {
          within["covariance \(k), \(l)", default: 0] += 1
        }
      }
    }
    #expect(within.count == 9)
    for (name, count) in within {
      // The nearest share that is allowed.
      let share = min(max(Double(count) / Double(runs), 0.653), 0.713)
      let reason = StatisticalBounds.refutation(successes: count, of: runs, probability: share)
      #expect(reason == nil, "\(name)")
    }
  }

  /// The errors of a covariance by their formula, from every sample's deviations.
  @Test func standardErrorsByTwoPasses() throws {
    var generator = TestSeed.generator("standardErrorsByTwoPasses")
    let samples = (0..<300).map { _ -> [Double] in
      let x = generator.normals(2, spread: 2, centre: 7)
      return [x[0], x[0] - 0.5 * x[1], x[1] * x[1]]
    }
    var accumulator = MomentAccumulator(pivot: [6.5, 4, 50], covariance: true)
    for sample in samples { accumulator.add(sample) }
    let n = Double(samples.count)
    let mean = (0..<3).map { k in samples.reduce(0) { $0 + $1[k] } / n }
    func central(_ p: Int, _ k: Int, _ q: Int, _ l: Int) -> Double {
      samples.reduce(0) { sum, x in
        var term = 1.0
        for _ in 0..<p { term *= x[k] - mean[k] }
        for _ in 0..<q { term *= x[l] - mean[l] }
        return sum + term
      } / n
    }
    let errors = accumulator.standardErrors()
    let matrix = try #require(errors.covariance)
    for k in 0..<3 {
      expectClose(errors.mean[k], (central(2, k, 0, k) / (n - 1)).squareRoot(), ulps: 1000)
      for l in 0..<3 {
        let second = central(1, k, 1, l)
        let square =
          central(2, k, 2, l) - second * second * (n - 2) / (n - 1)
          + central(2, k, 0, l) * central(2, l, 0, k) / (n - 1)
        expectClose(matrix[k, l], (square / n).squareRoot(), ulps: 1e5)
      }
    }
  }

  @Test func equalSamplesCountAtOnce() throws {
    var (one, many) = (
      MomentAccumulator(pivot: [0.5, -1], covariance: true),
      MomentAccumulator(pivot: [0.5, -1], covariance: true)
    )
    for (sample, times) in [([1.0, 2], 3), ([-0.5, 0.25], 5), ([0.5, -1], 2)] {
      one.add(sample, multiplicity: times)
      for _ in 0..<times { many.add(sample) }
    }
    #expect(one.count == 10 && many.count == 10)
    let (a, b) = (one.estimate().moments, many.estimate().moments)
    expectClose(a.mean, b.mean, relative: 1e-15)
    expectClose(try #require(a.covariance).elements, try #require(b.covariance).elements, relative: 1e-15)
    let (c, d) = (one.standardErrors(), many.standardErrors())
    expectClose(try #require(c.covariance).elements, try #require(d.covariance).elements, relative: 1e-14)
  }

  // MARK: - Progress and interruption

  @Test(arguments: zip(estimators.indices, [1, 2, 1, 2, 1]))
  func interruptedRunsAreShorterRuns(_ index: Int, _ threads: Int) throws {
    let estimator = Self.estimators[index]
    let problem = try Self.problem(.mixture)
    let asked = 1_000_000_000
    var told: [Int] = []
    let stopped = try MonteCarlo.moments(
      of: estimator, on: problem, sampling: .init(samples: asked, seed: 9, threads: threads)
    ) { samples in
      told.append(samples)
      return false
    }
    #expect(told.count == 1 && stopped.estimate.samples == told[0] && !stopped.isComplete)
    var shorter = try MonteCarlo.moments(
      of: estimator, on: problem, sampling: .init(samples: told[0], seed: 9, threads: 3))
    #expect(shorter.isComplete)
    shorter.isComplete = false
    #expect(shorter == stopped)
  }

  @Test func progressEndsWithAll() throws {
    let problem = try Self.problem(.categorical)
    var told: [Int] = []
    let run = try MonteCarlo.moments(
      of: GumbelSoftmaxST(), on: problem, sampling: .init(samples: 10_001, seed: 1, threads: 2)
    ) { samples in
      told.append(samples)
      return true
    }
    #expect(told == [8192, 10_001] && run.isComplete)
  }

  // MARK: - What it is asked

  @Test func assessmentsSampleContinuousNoise() throws {
    let problem = try Self.problem(.categorical)
    let sampling = AssessmentOptions.Sampling(samples: 4000, seed: 2)
    let assessment = try Assessment(
      of: GumbelSoftmaxST(), on: problem, options: AssessmentOptions(covariance: true, sampling: sampling))
    let estimate = assessment.estimate
    #expect(estimate.method == .monteCarlo && estimate.samples == 4000 && estimate.meanError > 0)
    #expect(estimate.moments.covariance != nil && assessment.descentProbability != nil)
    let stopped = try Assessment(
      of: GumbelSoftmaxST(), on: problem,
      options: AssessmentOptions(sampling: .init(samples: 1 << 40, seed: 2))
    ) { _ in false }
    #expect(stopped.estimate.samples == 4096)
  }

  @Test func undefinedEstimatorsAreUnavailable() throws {
    let problem = try Self.problem(.categorical)
    let undefined = EstimatorRegistry.standard.filter { !$0.claims.kinds.contains(.categorical) }
    #expect(!undefined.isEmpty)
    for estimator in undefined {
      #expect(throws: Unavailable.self) {
        try MonteCarlo.moments(of: estimator, on: problem, sampling: .init(samples: 10, seed: 1))
      }
    }
  }

  // MARK: - The sampler of lists

  /// A draw is the first place whose cumulative probability exceeds the uniform number, whatever finds it.
  @Test(arguments: [1, 2, 3, 7, 64, 100])
  func drawsAreThoseOfTheDefinition(_ outcomes: Int) {
    var maker = TestSeed.generator("drawsAreThoseOfTheDefinition \(outcomes)")
    // Uneven, and about a third of them impossible.
    var weights = (0..<outcomes).map { _ -> Double in
      let u = maker.nextOpenUnit()
      return u < 0.3 ? 0 : u * u * u * u
    }
    weights[outcomes / 2] += 0.25
    let total = weights.reduce(0, +)
    let list = OutcomeDistribution(
      distribution: RoutingDistribution(logits: [0, 0]),
      outcomes: weights.enumerated().map {
        Outcome(choice: [0], coins: [$0.offset], probability: $0.element / total, gradient: .dense([0, 0]))
      })
    let sampler = OutcomeSampler(list)
    var sum = CompensatedSum()
    let cumulative = list.outcomes.map { outcome -> Double in
      sum += outcome.probability
      return sum.value
    }
    var (draws, twin, counting) = (Philox(seed: 3), Philox(seed: 3), Philox(seed: 3))
    var counts = [Int](repeating: 0, count: outcomes)
    for _ in 0..<2000 {
      let u = twin.nextOpenUnit() * cumulative[outcomes - 1]
      let expected = cumulative.firstIndex { $0 > u } ?? outcomes - 1
      #expect(sampler.sample(using: &draws).coins == [expected])
      counts[expected] += 1
    }
    #expect(sampler.counts(of: 2000, using: &counting) == counts)
  }
}
