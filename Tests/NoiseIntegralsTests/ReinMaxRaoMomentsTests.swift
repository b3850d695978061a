import CStandardLibrary
import GSLNumerics
import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

/// ReinMax-Rao's moments: against its sampler, and for two experts against an integral of another kind.
@Suite(.seeded) struct ReinMaxRaoMomentsTests {
  private static func moments(_ estimator: ReinMaxRao, on problem: RoutedProblem) throws -> EstimatedMoments {
    try estimator.integrals(
      on: problem, target: .expectedLoss, covariance: true, options: IntegrationOptions(), continuing: { _ in true }
    ).estimate
  }

  /// Error rates as in GumbelMonteCarloTests.
  @Test(arguments: [0.4, 1.0], [1, 3])
  func agreesWithItsSampler(temperature: Double, draws: Int) throws {
    let estimator = ReinMaxRao(temperature: temperature, conditionalSamples: draws)
    for problem in [try GumbelIntegralTests.random(4, spread: 1.5), try Self.mixture()] {
      let exact = try Self.moments(estimator, on: problem)
      let sampler = try estimator.sampler(on: problem)
      let bounds = try estimator.bounds(on: problem)
      var generator = TestSeed.generator("reinmax-rao \(temperature) \(draws)")
      SampledMoments(20_000, coordinates: problem.experts) {
        let sample = sampler.sample(using: &generator)
        for k in sample.indices {
          #expect(sample[k] >= bounds.lower[k] - 1e-12 && sample[k] <= bounds.upper[k] + 1e-12)
        }
        return sample
      }.expect(exact.moments, range: bounds.scale, power: 0.3, "reinmax-rao \(temperature) \(draws)")
    }
  }

  static func mixture() throws -> RoutedProblem {
    try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: [0.4, -0.9, 1.1], expertOutputs: [[0.5, -1.5], [1.25, 0.75], [-0.6, 0.9]],
          loss: LogCosh(scales: [1, 2], targets: [0.5, -0.5]))))
  }

  /// Two experts: with rates a = ½(1 + π_i) of the winner and b = ½ π_l, `E_l − E_i` given the winner's time is exponential, and the distance
  /// y = log(E_l/E_i) has the density `ab e^y/(a + b e^y)² / a` for y > 0, a + b being 1. So `E x^q = ∫ (u q(1 − q)/τ)^q …` over one variable.
  @Test(arguments: [0.3, 1.0, 3.0], [0.2, 0.5, 0.9])
  func twoExpertsAgainstOneIntegral(temperature: Double, probability: Double) throws {
    let logits = [log(probability), log(1 - probability)]
    let problem = try RoutedProblem(
      .categorical(
        CategoricalProblem(logits: logits, source: .table(values: [0, 0], gradients: [[1, -0.5], [-0.25, 2]]))))
    let slopes = [1.5, -2.25]  // u_0 − u_1 at either one-hot, for coordinate 0
    let pi = [probability, 1 - probability]
    var (means, seconds) = ([0.0, 0.0], [0.0, 0.0])
    for i in 0..<2 {
      let (a, b) = (0.5 * (1 + pi[i]), 0.5 * pi[1 - i])
      func expectation(_ power: Int) throws -> Double {
        // The trapezoid rule in y = e^t: the integrand falls off on both sides.
        var sum = CompensatedSum()
        let h = 0.01
        for step in -4000...500 {
          let y = exp(Double(step) * h)
          let p = 1 / (1 + exp(-y / temperature))
          // p(1 − p), without cancellation; the density of y is b e^y/(a + b e^y)².
          let spread = p * p * exp(-y / temperature)
          let density = b * exp(-y) / ((a * exp(-y) + b) * (a * exp(-y) + b))
          let value = spread * slopes[i] / temperature
          sum += h * y * density * (power == 1 ? value : value * value)
        }
        return sum.value
      }
      means[i] = 2 * (try expectation(1)) - 0.5 * pi[0] * pi[1] * slopes[i]
      let second = try expectation(2)
      let first = try expectation(1)
      seconds[i] = 4 * (second - first * first)
    }
    let mean = pi[0] * means[0] + pi[1] * means[1]
    for draws in [1, 4] {
      let found = try Self.moments(ReinMaxRao(temperature: temperature, conditionalSamples: draws), on: problem)
      var variance = 0.0
      for i in 0..<2 { variance += pi[i] * (seconds[i] / Double(draws) + (means[i] - mean) * (means[i] - mean)) }
      #expect((found.moments.mean[0] - mean).magnitude <= 1e-9, "\(found.moments.mean[0]) \(mean)")
      #expect((found.moments.mean[1] + mean).magnitude <= 1e-9)
      #expect((found.moments.variance[0] - variance).magnitude <= 1e-9, "\(found.moments.variance[0]) \(variance)")
      #expect(found.meanError < 1e-9 && found.varianceError < 1e-8)
      #expect(found.moments.covariance.map { ($0[0, 1] + variance).magnitude <= 1e-9 } ?? false)
    }
  }

  @Test func oneExpertHasNoNoise() throws {
    let problem = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [0.3], source: .table(values: [1], gradients: [[2]]))))
    let found = try Self.moments(ReinMaxRao(), on: problem)
    #expect(found.moments.mean == [0] && found.moments.totalVariance == 0 && found.meanError == 0)
  }
}
