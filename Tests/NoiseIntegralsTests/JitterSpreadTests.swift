import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

/// Jitter of logits hundreds apart, or alike and huge: what competes lies within a few units, and the cost is that of those.
@Suite struct JitterSpreadTests {
  private func problem(_ logits: [Double]) throws -> RoutedProblem {
    try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: logits, expertOutputs: [[1, -0.5], [-0.75, 0.25], [0.5, 1]].prefix(logits.count).map { $0 },
          loss: try LogCosh(scales: [1, 2], targets: [0.5, -0.25]))))
  }

  private func nodes(_ logits: [Double]) throws -> Int {
    var told = 0
    _ = try JitterExpectation.moments(
      of: Switch(), on: problem(logits), options: IntegrationOptions(tolerance: 1e-3)
    ) {
      told = $0
      return true
    }
    return told
  }

  @Test(arguments: [[1.0, 0.99], [-1, -1.01], [1, 0.4, -0.7]])
  func costIsBounded(_ shape: [Double]) throws {
    let least = try nodes(shape.map { $0 * 1e4 })
    for spread in [1e6, 1e9, 1e300] { #expect(try nodes(shape.map { $0 * spread }) <= 2 * least + 100) }
  }

  /// Where θ is large the experts compete in a strip of t − x of size 1 out of 2rθ, so means and the boundary's mean square fall
  /// like 1/θ, and θ E ĝ has a limit: it is there to as many digits as 1/θ is small, for either sign.
  @Test(arguments: [1.0, -1.0]) func tiesOfHugeLogits(_ sign: Double) throws {
    func scaled(_ size: Double) throws -> [Double] {
      let estimate = try JitterExpectation.moments(
        of: Switch(), on: problem([sign * size, sign * size]), options: IntegrationOptions(tolerance: 1e-6))
      #expect(estimate.method == .quadrature)
      return estimate.moments.mean.map { $0 * size }
    }
    let limit = try scaled(1e12)
    #expect(limit.contains { $0.magnitude > 1e-3 })
    expectClose(try scaled(1e15), limit, relative: 1e-6)
    expectClose(try scaled(1e18), limit, relative: 1e-6)
    expectClose(try scaled(1e6), limit, relative: 1e-4)
    for size in [1e100, 1e200, 1e300] { expectClose(try scaled(size), limit, relative: 1e-6) }
  }

  /// The panels of moderate spreads and those of large ones meet: the same integral at a spread on either side.
  @Test(arguments: [[236.0, 230], [-236, -230], [244, 200, -3]])
  func agreesWithPoints(_ logits: [Double]) throws {
    let problem = try problem(logits)
    let options = IntegrationOptions(tolerance: 1e-6)
    let exact = try JitterExpectation.moments(of: Switch(), on: problem, options: options)
    let target = try JitterExpectation.targetGradient(of: Switch(), on: problem, options: options)
    let run = try MonteCarlo.moments(
      of: Switch(), on: problem, sampling: .init(samples: 50_000, seed: 7))
    #expect(exact.method == .quadrature)
    for k in logits.indices {
      // Six standard errors: a false alarm in 10⁻⁸ of the seeds, and a tenth of the mean is seen.
      expectClose(
        exact.moments.mean[k], run.estimate.moments.mean[k], within: 6 * run.standardErrors.mean[k] + 1e-12)
      expectClose(
        exact.moments.variance[k], run.estimate.moments.variance[k],
        within: 6 * run.standardErrors.variance[k] + 1e-12)
    }
    expectClose(
      zip(target.gradient, logits).reduce(0) { $0 + $1.0 * $1.1 },
      zip(exact.moments.mean, logits).reduce(0) { $0 + $1.0 * $1.1 }, within: 1e-5)
  }
}
