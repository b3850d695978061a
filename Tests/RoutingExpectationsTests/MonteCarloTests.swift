import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@testable import RoutingExpectations

/// Sampled moments against exact ones, by bounds that hold for every n and fail with the suite's stated rate.
@Suite(.seeded) struct MonteCarloTests {
  static let samples = 40_000
  static let specifications = [
    "reinforce", "reinforce:baseline=leave-one-out,samples=2", "reinforce:baseline=leave-one-out,samples=4",
    "reinmax",
    "sparsemixer", "sparsemixer-v2", "sparsemixer-v2-top2", "quadrature:rule=rkf5,evaluation=one-node",
    "exact",
  ]

  static func problem(_ estimator: any FiniteOutcomeEstimator) throws -> TestProblem {
    var maker = ProblemMaker("Monte Carlo")
    return try maker.problem("mixture of four", kind: .mixture, type: "log-cosh", experts: 4, width: 3)
  }

  @Test(arguments: specifications)
  func agreesWithExactMoments(_ specification: String) throws {
    let estimator = try EstimatorSpecifications.finite(specification)
    let problem = try Self.problem(estimator).problem
    let sampling = AssessmentOptions.Sampling(samples: Self.samples, seed: TestSeed.value, threads: 2)
    let options = AssessmentOptions(covariance: true, sampling: sampling)
    let sampled = try Assessment(of: estimator, on: problem, options: options)
    let exact = try Assessment(of: estimator, on: problem, options: AssessmentOptions(covariance: true))
    let n = Self.samples
    let outcomes = try estimator.outcomes(of: problem)
    let all = try outcomes.enumerated().map { ($0.probability, outcomes.gradient(of: $0)) }
    let (ours, truth) = (sampled.estimate.moments, exact.estimate.moments)
    #expect(sampled.estimate.method == .monteCarlo && sampled.estimate.samples == n)
    #expect(sampled.estimate.outcomes == nil)
    for k in truth.mean.indices {
      let deviations = all.map { ($0.0, $0.1[k] - truth.mean[k]) }
      let range = deviations.reduce(0) { max($0, $1.1.magnitude) }
      let shift = StatisticalBounds.meanDeviation(samples: n, variance: truth.variance[k], range: range)
      expectClose(ours.mean[k], truth.mean[k], within: shift + 1e-15, "\(specification), mean \(k)")
      // The mean of squared deviations from the true mean, and what the sample mean takes off.
      let fourth = deviations.reduce(0) { $0 + $1.0 * $1.1 * $1.1 * $1.1 * $1.1 }
      let spread = max(fourth - truth.variance[k] * truth.variance[k], 0)
      let widening = StatisticalBounds.meanDeviation(samples: n, variance: spread, range: range * range)
      let allowed = (widening + shift * shift) * Double(n) / Double(n - 1) + truth.variance[k] / Double(n)
      expectClose(
        ours.variance[k], truth.variance[k], within: allowed + 1e-15, "\(specification), variance \(k)")
      let matrix = try #require(ours.covariance)
      expectClose(matrix[k, k], ours.variance[k], within: 1e-12 * (1 + ours.variance[k]))
      expectClose(matrix.row(k).reduce(0, +), 0, within: 1e-12 * (1 + ours.totalVariance))
    }
    // Standard errors are those of the exact moments, to a few per cent (three digits of variance at this n).
    let standardError = (truth.variance.reduce(0, max) / Double(n)).squareRoot()
    expectClose(sampled.estimate.meanError, standardError, within: 0.2 * standardError + 1e-18)
    // The bias is an estimate with the noise taken off, not the norm of a noisy difference.
    let noise = truth.totalVariance / Double(n)
    let difference = zip(ours.mean, try #require(exact.targetGradient)).map { $0 - $1 }
    expectClose(
      try #require(sampled.biasNorm),
      max(0, dot(difference, difference) - ours.totalVariance / Double(n)).squareRoot(),
      within: 1e-12 + 1e-3 * noise)
    let descent = try #require(exact.descentProbability)
    let hits = Int((try #require(sampled.descentProbability) * Double(n)).rounded())
    // Slopes that are zero but for rounding are left out of the comparison.
    if specification != "sparsemixer-v2-top2" {
      #expect(
        StatisticalBounds.refutation(successes: hits, of: n, probability: descent) == nil, "\(specification)")
    }
  }

  @Test(arguments: [2, 3, 16_383, 16_384, 16_385, 50_000])
  func threadsDoNotMatter(_ samples: Int) throws {
    let estimator = SparseMixer()
    let outcomes = try estimator.outcomes(of: Self.problem(estimator).problem)
    func run(_ threads: Int) -> EstimatedMoments {
      MonteCarlo.moments(
        of: outcomes, sampling: .init(samples: samples, seed: 5, threads: threads), covariance: true,
        descentAlong: [1, -1, 0.5, 0]
      ).estimate
    }
    let one = run(1)
    for threads in [0, 2, 3, 8] { #expect(run(threads) == one, "\(threads) threads") }
  }

  @Test func seedsMatter() throws {
    let outcomes = try SparseMixer().outcomes(of: Self.problem(SparseMixer()).problem)
    func mean(_ seed: UInt64) -> [Double] {
      MonteCarlo.moments(of: outcomes, sampling: .init(samples: 1000, seed: seed)).estimate.moments.mean
    }
    #expect(mean(1) == mean(1) && mean(1) != mean(2))
  }

  @Test func covarianceOnRequestOnly() throws {
    let outcomes = try SparseMixer().outcomes(of: Self.problem(SparseMixer()).problem)
    let run = MonteCarlo.moments(of: outcomes, sampling: .init(samples: 100, seed: 1))
    #expect(run.estimate.moments.covariance == nil && run.descentProbability == nil)
  }

  @Test func parallelMapKeepsTheOrder() {
    for threads in [-1, 1, 2, 5, 100] {
      #expect(parallelMap(3..<40, threads: threads) { $0 * $0 } == (3..<40).map { $0 * $0 })
    }
    #expect(parallelMap(0..<0, threads: 4) { $0 }.isEmpty)
  }
}
