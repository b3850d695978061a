import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

/// The integrals against the sampler where nothing else reaches: N = 64, and mixtures, whose gating sample is correlated
/// with the rest.
///
/// Error rates: every comparison draws on the suite's budget (``FalseFailures``), with Bernstein's bound, which needs no
/// asymptotics: means of ĝ and of ĝ² with their exact variances and ranges. Power: the bounds on means are asserted to be
/// below 0.2 σ, so that a mean that is off by 0.23 σ is found with a probability above 0.999 (20 000 samples or more).
@Suite(.seeded) struct GumbelMonteCarloTests {
  private func check(
    _ estimator: some StraightThroughGumbel, on problem: RoutedProblem, samples: Int, range: Double,
    _ name: String
  ) throws {
    let exact = try GumbelIntegral.moments(of: estimator, on: problem).moments
    let sampler = try estimator.sampler(on: problem)
    var generator = TestSeed.generator("GumbelMonteCarloTests \(name)")
    SampledMoments(samples, coordinates: problem.experts) { sampler.sample(using: &generator) }
      .expect(exact, range: range, power: 0.2, name)
  }

  /// `|ĝ_j| ≤ (1/τ) p_j Σ_k p_k |u_j − u_k| ≤ (1/4τ) · 2`, the gradients lying in [−1, 1].
  @Test(arguments: [0.3, 1.0])
  func sixtyFourExperts(_ tau: Double) throws {
    let problem = try GumbelIntegralTests.random(64, spread: 2)
    try check(
      GumbelSoftmaxST(temperature: tau), on: problem, samples: 40_000, range: 0.5 / tau, "64 tau=\(tau)")
  }

  @Test func conditionalDraws() throws {
    let problem = try GumbelIntegralTests.random(5, spread: 2)
    try check(
      GumbelRao(temperature: 0.5, conditionalSamples: 3), on: problem, samples: 20_000, range: 1,
      "conditional draws")
  }

  @Test func mixture() throws {
    let outputs = [[0.5, -1.5], [1.25, 0.75], [-0.6, 0.9], [2, 1]]
    let problem = try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: [0.4, -0.9, 1.1, 0.2], expertOutputs: outputs,
          loss: LogCosh(scales: [1, 2], targets: [0.5, -0.5]))))
    let gating = try problem.gatingWeights().reduce(0) { max($0, $1.magnitude) }
    var spread = 0.0
    for i in 0..<4 {
      let gradient = try problem.choiceGradient(at: i)
      spread = max(spread, (gradient.max() ?? 0) - (gradient.min() ?? 0))
    }
    let tau = 0.5
    let range = spread / (4 * tau) + gating
    try check(GumbelSoftmaxST(temperature: tau), on: problem, samples: 40_000, range: range, "mixture")
    try check(
      GumbelRao(temperature: tau, conditionalSamples: 2), on: problem, samples: 20_000, range: range,
      "mixture, K = 2")
  }
}
