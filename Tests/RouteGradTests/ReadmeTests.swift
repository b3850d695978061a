import RouteGrad
import Testing

/// The README's examples of embedding, compiled; the first is held to the verdict that the README gives.
struct ReadmeTests {
  @Test func embedding() throws {
    let problem = try MixtureProblem(
      logits: [0.3, -1.2, 0.8], expertOutputs: [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]],
      loss: try LogCosh(scales: [1, 2], targets: [0.5, -0.5]))
    let routed = try RoutedProblem(.mixture(problem))

    let exact = try GradientTarget.expectedLoss.gradient(of: routed)  // ∇, [experts]
    let estimator = try EstimatorRegistry.estimator("sparsemixer")
    let assessment = try Assessment(of: estimator, on: routed)

    let relativeBias = try #require(assessment.relativeBias)
    #expect((relativeBias * 1000).rounded() == 105)
    #expect(assessment.targetGradient == exact)
    #expect(assessment.estimate.moments.mean.count == 3)
  }

  /// The loop of docs/guides/swift.md, over samples of the estimator itself and of one that is half as large.
  @Test(arguments: [(1.0, Verdict.consistent), (0.5, .refuted)])
  func samples(factor: Double, verdict: Verdict) throws {
    let problem = try MixtureProblem(
      logits: [0.3, -1.2, 0.8], expertOutputs: [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]],
      loss: try LogCosh(scales: [1, 2], targets: [0.5, -0.5]))
    let routed = try RoutedProblem(.mixture(problem))
    let estimator = GumbelSoftmaxST(temperature: 0.5)
    let sampler = try estimator.sampler(on: routed)
    var random = Philox(seed: 1, stream: 0)
    func nextSamples() -> [Double] {
      (0..<100).flatMap { _ in sampler.sample(using: &random).map { factor * $0 } }
    }

    var verifier = try SampleVerifier(Claim(estimator, on: routed), criteria: Criteria())
    while verifier.add(nextSamples()) {}
    #expect(verifier.finish().verdict == verdict)
  }
}
