import RouteGrad
import Testing

/// The README's example of embedding, compiled and held to the verdict that the README gives.
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
}
