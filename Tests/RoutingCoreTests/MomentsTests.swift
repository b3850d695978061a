import RoutingCore
import Testing
import _TestSupport

/// The closed form for multiples of the score against their outcomes written out.
@Suite(.seeded) struct MomentsTests {
  /// s has the values `a ± √v`, each with probability ½ given D.
  private func outcomes(_ distribution: RoutingDistribution, _ a: [Double], _ v: [Double])
    -> OutcomeDistribution
  {
    OutcomeDistribution(
      distribution: distribution,
      outcomes: distribution.support.flatMap { i in
        [-1.0, 1].enumerated().map { side, sign in
          Outcome(
            choice: [i], coins: [side], probability: 0.5 * distribution.probabilities[i],
            gradient: .score(weight: a[i] + sign * v[i].squareRoot()))
        }
      })
  }

  @Test(arguments: [1, 2, 3, 7, 8, 9, 15, 16, 17, 40])
  func closedFormAgreesWithOutcomes(_ experts: Int) throws {
    var generator = TestSeed.generator("score moments \(experts)")
    for spread in [0.3, 3, 12] {
      let distribution = RoutingDistribution(logits: generator.normals(experts, spread: spread))
      let a = generator.normals(experts)
      let v = generator.normals(experts).map { $0 * $0 }
      let list = outcomes(distribution, a, v)
      let (closed, brute) = (
        distribution.scoreMoments(weights: a, spread: v), list.moments(covariance: true)
      )
      // The brute force knows 1 − π only to rounding of 1, so the scale is that of the weights.
      expectClose(closed.mean, brute.mean, relative: 1e-13, scale: 1e-3)
      expectClose(closed.variance, brute.variance, relative: 1e-13, scale: 1e-3)
      expectClose(closed.totalVariance, closed.variance.reduce(0, +), ulps: Double(experts))
      let plain = distribution.scoreMoments(weights: a)
      let still = distribution.scoreMoments(weights: a, spread: [Double](repeating: 0, count: experts))
      #expect(plain == still)
      expectClose(
        plain.variance, outcomes(distribution, a, a.map { _ in 0 }).moments(covariance: true).variance,
        relative: 1e-13, scale: 1e-3)
    }
  }

  /// Where one expert is all but certain, the argmax's variance comes from the others alone: it may be
  /// smaller than the square of a rounding error of its weight.
  @Test(arguments: [-30.0, -80, -300, -400, -700, -720, -740])
  func almostCertain(_ logit: Double) {
    let distribution = RoutingDistribution(logits: [0, logit, logit - 0.5])
    let p = distribution.probabilities
    let q = distribution.complements[0]
    // Weights that vanish with the probability, as those of the multiplier do.
    let a = [0.75, p[1] * 0.5, -p[2] * 0.25]
    let moments = distribution.scoreMoments(weights: a)
    // var_0 = Σ_i π_i (g_i − mean)², written without subtraction of large numbers:
    // pairs (i, j) contribute π_i π_j (g_i − g_j)², and g_0 = a_0 q, g_i = −a_i π_0.
    let g = [a[0] * q, -a[1] * p[0], -a[2] * p[0]]
    var variance = 0.0
    for i in 0..<3 { for j in 0..<i { variance += p[i] * p[j] * (g[i] - g[j]) * (g[i] - g[j]) } }
    let scale = q * q * a[0] * a[0]
    expectClose(
      [moments.variance[0]], [variance], relative: 1e-12, scale: max(scale, .leastNormalMagnitude), "\(logit)"
    )
    expectClose(moments.mean[0], p[0] * (q * a[0] - (p[1] * a[1] + p[2] * a[2])), ulps: 4)
    #expect(moments.variance.allSatisfy { $0 >= 0 && $0.isFinite })
    #expect(moments.totalVariance.isFinite)
  }

  @Test func certainExpertHasNone() {
    for logits in [[5.0], [0, -800], [-900, 100, -900]] {
      let distribution = RoutingDistribution(logits: logits)
      let a = logits.map { _ in 3.5 }
      let moments = distribution.scoreMoments(weights: a, spread: logits.map { _ in 2 })
      #expect(moments.mean.allSatisfy { $0 == 0 } && moments.variance.allSatisfy { $0 == 0 })
      #expect(moments.totalVariance == 0)
    }
  }

  @Test func maskedExpertsHaveNone() {
    let distribution = RoutingDistribution(logits: [1, -2, 1.05, 0.99], mask: .paper(threshold: 0.1))
    #expect(distribution.support == [0, 2, 3])
    let alone = RoutingDistribution(logits: [1, 1.05, 0.99])
    let moments = distribution.scoreMoments(weights: [1, 0, -2, 0.5], spread: [0.1, 0, 0.2, 0.3])
    let expected = alone.scoreMoments(weights: [1, -2, 0.5], spread: [0.1, 0.2, 0.3])
    #expect(moments.mean[1] == 0 && moments.variance[1] == 0)
    expectClose([0, 2, 3].map { moments.mean[$0] }, expected.mean, relative: 1e-15)
    expectClose([0, 2, 3].map { moments.variance[$0] }, expected.variance, relative: 1e-15)
  }

  @Test func finiteness() {
    #expect(Moments(mean: [1], variance: [2]).isFinite)
    #expect(!Moments(mean: [.infinity], variance: [2]).isFinite)
    #expect(!Moments(mean: [1], variance: [.nan]).isFinite)
    #expect(!Moments(mean: [1, 1], variance: [1e308, 1e308]).isFinite)
    #expect(
      !Moments(mean: [1], variance: [2], covariance: Matrix(rows: 1, columns: 1, elements: [.infinity]))
        .isFinite)
    #expect(Moments(mean: [1, 2], variance: [3, 4]).totalVariance == 7)
  }
}
