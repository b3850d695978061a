import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@testable import RoutingExpectations

/// The metrics of a report: their definitions, and where they are not defined.
@Suite(.seeded) struct AssessmentTests {
  @Test(arguments: EstimatorSpecifications.all)
  func definitions(_ specification: String) throws {
    let estimator = try EstimatorSpecifications.finite(specification)
    for problem in TestProblems.standard where estimator.claims.kinds.contains(problem.problem.kind) {
      guard let outcomes = try? estimator.outcomes(of: problem.problem) else { continue }
      let targets: [GradientTarget] =
        problem.problem.kind == .mixture ? [.expectedLoss, .gatingTerm] : [.expectedLoss]
      for target in targets {
        let place = "\(specification), \(target.rawValue), \(problem.name)"
        let a = try Assessment(of: estimator, on: problem.problem, options: AssessmentOptions(target: target))
        let t = try target.gradient(of: problem.problem, as: estimator.claims)
        let moments = outcomes.moments()
        #expect(a.targetGradient == t && a.target == target)
        #expect(a.estimate.moments.mean == moments.mean && a.estimate.moments.variance == moments.variance)
        #expect(
          a.estimate.method == .enumeration && a.estimate.meanError == 0 && a.estimate.varianceError == 0)
        #expect(a.estimate.outcomes == outcomes.count && a.estimate.samples == nil)
        #expect(a.estimate.moments.covariance == nil)
        #expect(a.expertEvaluations == estimator.claims.expertEvaluations.count(on: problem.problem))
        let m = moments.mean
        let bias = zip(m, t).map { $0 - $1 }
        #expect(a.bias == bias)
        let (mm, tt, mt) = (dot(m, m), dot(t, t), dot(m, t))
        let total = moments.totalVariance
        func expect(_ ours: Double?, _ value: Double?, _ name: String, _ tolerance: Double = 1e-10) {
          guard let value, value.isFinite else { return }
          guard let ours else {
            Issue.record("\(name) is nil, not \(value): \(place)")
            return
          }
          expectClose(ours, value, within: tolerance * max(1, value.magnitude), "\(name): \(place)")
        }
        expect(a.biasNorm, dot(bias, bias).squareRoot(), "bias norm")
        expect(a.relativeBias, tt > 0 ? (dot(bias, bias) / tt).squareRoot() : nil, "relative bias")
        expect(a.cosine, mm > 0 && tt > 0 ? mt / (mm * tt).squareRoot() : nil, "cosine")
        expect(a.bestScale, mm > 0 && tt > 0 ? mt / mm : nil, "best scale")
        let rest = zip(m, t).map { (mm > 0 ? mt / mm : 0) * $0 - $1 }
        expect(
          a.scaledRelativeBias, mm > 0 && tt > 0 ? (dot(rest, rest) / tt).squareRoot() : nil,
          "scaled relative bias", 1e-7)
        expect(
          a.relativeStandardDeviation, tt > 0 ? (total / tt).squareRoot() : nil, "relative standard deviation"
        )
        expect(a.meanSquaredError, dot(bias, bias) + total, "mean squared error")
        expect(a.signalToNoise, total > 0 ? mm / total : nil, "signal to noise")
        if tt > 0, let descent = a.descentProbability {
          // Outcomes whose slope is rounding may fall on either side.
          var (low, high) = (0.0, 0.0)
          for outcome in try outcomes.enumerated() {
            let g = outcomes.gradient(of: outcome)
            let slope = dot(g, t)
            let rounding = 1e-13 * (dot(g, g) * tt).squareRoot()
            if slope > rounding { low += outcome.probability }
            if slope > -rounding { high += outcome.probability }
          }
          #expect(
            descent >= low - 1e-12 && descent <= high + 1e-12, "\(place): \(low)…\(high), got \(descent)")
        } else if tt > 0 {
          Issue.record("no descent probability: \(place)")
        }
      }
    }
  }

  @Test func zeroTarget() throws {
    // A loss that does not look at its argument: every gradient is zero.
    let problem = try RoutedProblem(
      .mixture(
        try MixtureProblem(
          logits: [0.5, 0], expertOutputs: [[1], [2]], loss: try Polynomial(coefficients: [3], direction: [1])
        )))
    let a = try Assessment(of: EstimatorRegistry.estimator("reinforce"), on: problem)
    #expect(a.targetGradient?.allSatisfy { $0 == 0 } == true)
    #expect(a.relativeBias == nil && a.cosine == nil && a.bestScale == nil && a.scaledRelativeBias == nil)
    #expect(a.relativeStandardDeviation == nil && a.descentProbability == nil)
    #expect(a.meanSquaredError != nil && a.biasNorm == 0 && a.signalToNoise == 0)
  }

  @Test func zeroVariance() throws {
    let a = try Assessment(of: Exact(), on: TargetsTests.parabola())
    #expect(a.signalToNoise == nil && a.relativeStandardDeviation == 0)
    #expect(a.biasNorm == 0 && a.relativeBias == 0 && a.meanSquaredError == 0)
    #expect(a.descentProbability == 1)
    expectClose(try #require(a.cosine), 1, ulps: 2)
  }

  @Test func singleExpert() throws {
    let problem = try RoutedProblem(
      .mixture(
        try MixtureProblem(
          logits: [2], expertOutputs: [[1, 2]], loss: try LogCosh(scales: [1, 1], targets: [0, 1]))))
    for specification in ["reinforce", "sparsemixer", "reinmax", "exact", "dense-backward"] {
      let a = try Assessment(of: EstimatorRegistry.estimator(specification), on: problem)
      #expect(a.estimate.moments.mean == [0] && a.estimate.moments.totalVariance == 0, "\(specification)")
      #expect(
        a.relativeBias == nil && a.cosine == nil && a.signalToNoise == nil && a.descentProbability == nil)
      #expect(a.biasNorm == 0 && a.meanSquaredError == 0)
    }
    #expect(throws: AssessmentError.unavailable(Unavailable("needs two experts"))) {
      try Assessment(of: SparseMixerV2Top2(), on: problem)
    }
  }

  @Test func targetsThatAreNotDefined() throws {
    let a = try Assessment(
      of: SparseMixerV2Top2(), on: TargetsTests.parabola(), options: AssessmentOptions(target: .denseMixture))
    #expect(a.targetGradient == nil && a.bias == nil && a.biasNorm == nil && a.meanSquaredError == nil)
    #expect(a.estimate.moments.isFinite && a.signalToNoise != nil)
    #expect(a.descentProbability == nil)
  }

  @Test func kindsThatAreNotDefined() throws {
    let categorical = try RoutedProblem(
      .categorical(try CategoricalProblem(logits: [0, 1], objective: try Linear(coefficients: [1, 2]))))
    #expect(throws: AssessmentError.unavailable(Unavailable("needs a mixture problem"))) {
      try Assessment(of: SparseMixer(), on: categorical)
    }
  }

  @Test func overflow() throws {
    func problem(_ size: Double) throws -> RoutedProblem {
      try RoutedProblem(
        .mixture(
          try MixtureProblem(
            logits: [0.25, 0], expertOutputs: [[size], [-size]],
            loss: try Polynomial(coefficients: [0, 0, 1], direction: [1]))))
    }
    #expect(throws: AssessmentError.overflow(Overflow(quantity: "the target expected-loss"))) {
      try Assessment(of: SparseMixer(), on: problem(1e200))
    }
    // The mean is a finite number, its square is not.
    #expect(throws: AssessmentError.self) { try Assessment(of: SparseMixer(), on: problem(1e120)) }
    do {
      _ = try Assessment(of: SparseMixer(), on: problem(1e120))
    } catch {
      #expect("\(error)".hasSuffix("overflows Float64"))
    }
    #expect(try Assessment(of: SparseMixer(), on: problem(1e60)).meanSquaredError?.isFinite == true)
  }

  @Test func covarianceOnRequest() throws {
    let problem = try TargetsTests.parabola()
    let a = try Assessment(
      of: SparseMixer(), on: problem, options: AssessmentOptions(covariance: true))
    let c = try #require(a.estimate.moments.covariance)
    // Outcomes 2, −4, −8 with ½, ¼, ¼: mean −2, variance 18.
    expectClose(c.elements, [18, -18, -18, 18], relative: 1e-15)
    expectClose(a.estimate.moments.totalVariance, 36, ulps: 2)
  }
}
