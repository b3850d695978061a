import GSLNumerics
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

@testable import RoutingVerification

@Suite("Assessments of samples", .seeded)
struct SampleAssessmentTests {
  private static func samples(
    _ estimator: some GradientEstimator, on problem: RoutedProblem, count: Int, stream: UInt64 = 0
  ) throws -> [Double] {
    let sampler = OutcomeSampler(try estimator.finiteOutcomes(on: problem))
    var generator = Philox(seed: 5, stream: stream)
    return (0..<count).flatMap { _ in sampler.outcomes.gradient(of: sampler.sample(using: &generator)) }
  }

  private static func assessor(
    _ samples: [Double], gradient: [Double], pieces: [Int] = [.max]
  ) -> SampleAssessor {
    var assessor = SampleAssessor(against: .expectedLoss, gradient: gradient)
    var start = 0
    var piece = 0
    while start < samples.count {
      let end = min(start + min(pieces[piece % pieces.count], samples.count) * gradient.count, samples.count)
      samples[start..<end].withUnsafeBufferPointer { assessor.add($0) }
      (start, piece) = (end, piece + 1)
    }
    return assessor
  }

  // MARK: Outcomes

  /// All outcomes with their probabilities give what enumeration gives.
  @Test func outcomesAreExact() throws {
    for problem in TestProblems.standard {
      for estimator in EstimatorRegistry.standard {
        guard let list = try? estimator.finiteOutcomes(on: problem.problem), list.samples <= 2,
          list.count ?? .max < 2000,
          let truth = try? Assessment(of: estimator, on: problem.problem), let gradient = truth.targetGradient
        else { continue }
        let outcomes = try list.enumerated().map {
          ForeignOutcome(draw: nil, probability: $0.probability, gradient: list.gradient(of: $0))
        }
        let found = try SampleAssessment(of: outcomes, against: .expectedLoss, gradient: gradient)
        let size =
          norm(gradient) + truth.estimate.moments.totalVariance.squareRoot() + norm(truth.estimate.moments.mean)
        func close(_ a: Double?, _ b: Double?, _ scale: Double) -> Bool {
          guard let a, let b else { return a == nil && b == nil }
          return (a - b).magnitude <= 1e-13 * scale
        }
        #expect(found.precision == nil && found.count == outcomes.count)
        #expect(close(found.comparison.biasNorm, truth.biasNorm, size), "\(estimator.specification)")
        #expect(close(found.comparison.cosine, truth.cosine, size / norm(gradient)), "\(estimator.specification)")
        #expect(close(found.moments.totalVariance, truth.estimate.moments.totalVariance, size * size))
        #expect(close(found.comparison.meanSquaredError, truth.meanSquaredError, size * size))
        #expect(close(found.descentProbability, truth.descentProbability, 10), "\(estimator.specification)")
      }
    }
  }

  // MARK: Samples

  /// How samples come in, and how many threads there are, changes no bit; neither do blocks change the moments.
  @Test(arguments: [2, 65, 2049, 5000])
  func onlySamplesAndTheirOrderCount(count: Int) throws {
    let problem = try ClaimTests.problem(.mixture)
    let gradient = try GradientTarget.expectedLoss.gradient(of: problem)
    let samples = try Self.samples(SparseMixer(), on: problem, count: count)
    let whole = try Self.assessor(samples, gradient: gradient).assessment(.init(threads: 1))
    let pieces = try Self.assessor(samples, gradient: gradient, pieces: [1, 7, 300]).assessment(.init(threads: 3))
    #expect(whole == pieces)
    #expect(whole.count == count)
    var plain = MomentAccumulator(pivot: gradient, covariance: false)
    for start in stride(from: 0, to: samples.count, by: 5) { plain.add(Array(samples[start..<start + 5])) }
    let moments = plain.estimate().moments
    for k in 0..<5 {
      #expect((moments.mean[k] - whole.moments.mean[k]).magnitude <= 1e-13)
      #expect((moments.variance[k] - whole.moments.variance[k]).magnitude <= 1e-12 * moments.totalVariance)
    }
    let precision = try #require(whole.precision)
    #expect(precision.blocks <= 2048 && precision.blocks >= min(count, 1024))
    let another = try Self.assessor(samples, gradient: gradient).assessment(.init(seed: 1))
    #expect(count < 4 || another.precision != whole.precision, "the seed is used")
  }

  /// The point lies within its interval, and 99 % intervals hold those of 90 %.
  @Test(arguments: [4, 10, 100, 400])
  func intervalsHoldTheirPoints(count: Int) throws {
    let problem = try ClaimTests.problem(.mixture)
    let gradient = try GradientTarget.expectedLoss.gradient(of: problem)
    for estimator in ["reinforce", "sparsemixer", "exact"] {
      let samples = try Self.samples(try EstimatorRegistry.estimator(estimator), on: problem, count: count)
      let assessor = Self.assessor(samples, gradient: gradient)
      let (narrow, wide) = (
        try assessor.assessment(.init(confidence: 0.9)), try assessor.assessment(.init(confidence: 0.99))
      )
      let (inner, outer) = (try #require(narrow.precision), try #require(wide.precision))
      #expect(inner.biasNorm.contains(try #require(narrow.comparison.biasNorm)))
      #expect(inner.totalVariance.contains(narrow.moments.totalVariance), "\(estimator) \(count)")
      #expect(inner.meanSquaredError.contains(try #require(narrow.comparison.meanSquaredError)))
      #expect(try #require(inner.cosine).contains(try #require(narrow.comparison.cosine)))
      #expect(try #require(inner.descentProbability).contains(try #require(narrow.descentProbability)))
      #expect(outer.meanRadius >= inner.meanRadius)
      #expect(outer.biasNorm.lowerBound <= inner.biasNorm.lowerBound)
      #expect(outer.totalVariance.upperBound >= inner.totalVariance.upperBound)
    }
  }

  /// Two samples do not say how good they are; equal ones say that they are equal.
  @Test func fewSamples() throws {
    let two = try Self.assessor([1, 0, 0, 1], gradient: [1, 1]).assessment()
    let open = try #require(two.precision)
    #expect(open.meanRadius == .infinity && open.biasNorm == 0...Double.infinity && open.cosine == -1...1)
    let equal = try Self.assessor([2, 2, 2, 2, 2, 2], gradient: [1, 1]).assessment()
    let closed = try #require(equal.precision)
    #expect(closed.meanRadius == 0 && closed.totalVariance == 0...0 && (closed.cosine?.lowerBound ?? 0) > 1 - 1e-15)
    #expect(equal.comparison.relativeBias == 1 && closed.relativeBias == 1...1)
    #expect(closed.meanSquaredError == 2...2)
  }

  @Test func zeroTargetsHaveNoRatios() throws {
    let found = try Self.assessor([1, 0, 0, 1, 1, 1], gradient: [0, 0]).assessment()
    let precision = try #require(found.precision)
    #expect(found.comparison.relativeBias == nil && precision.relativeBias == nil && precision.cosine == nil)
    #expect(found.descentProbability == nil && precision.descentProbability == nil)
  }

  /// Sizes whose squares Float64 does not hold are refused, those that it does hold come out right.
  @Test(arguments: [1e-150, 1e-100, 1.0, 1e100, 1e150])
  func numbersOfAnySize(scale: Double) throws {
    let samples = [1.0, 0, 0, 2, 3, 1, 1, 1, 0, 0, 2, 2].map { $0 * scale }
    let found = try Self.assessor(samples, gradient: [scale, scale]).assessment()
    let plain = try Self.assessor(samples.map { $0 / scale }, gradient: [1, 1]).assessment()
    let (a, b) = (try #require(found.precision), try #require(plain.precision))
    #expect((found.comparison.relativeBias ?? 0) - (plain.comparison.relativeBias ?? 1) < 1e-12)
    #expect((a.meanRadius / scale - b.meanRadius).magnitude <= 1e-9 * b.meanRadius)
    #expect(found.descentProbability == plain.descentProbability)
  }

  @Test func overflowIsRefused() {
    for value in [1e155, 1.7e308] {
      #expect(throws: Overflow.self) {
        try Self.assessor([value, 0, 0, -value, value, value], gradient: [1, 1]).assessment()
      }
      #expect(throws: Overflow.self) {
        try SampleAssessment(
          of: [
            ForeignOutcome(draw: nil, probability: 0.5, gradient: [value]),
            ForeignOutcome(draw: nil, probability: 0.5, gradient: [-value]),
          ], against: .expectedLoss, gradient: [1])
      }
    }
  }

  // MARK: Coverage

  /// 95 % intervals hold the true value as often as they say, and a radius of half the length would be found out.
  ///
  /// 300 runs: a coverage of 0.95 or more is contradicted in one of six counts with a probability below 1e-6. Half the radius, which holds
  /// the mean of 5 coordinates in some 6 of 10 runs, is contradicted by 150 runs but for 1e-6.
  @Test func coverage() throws {
    let problem = try ClaimTests.problem(.mixture)
    let trials = AssessmentTrials(confidence: 0.95, seed: TestSeed.value, threads: 2)
    let found = try trials.coverage(of: SparseMixer(), on: problem, samples: 60, runs: 300)
    for (name, count) in [
      ("mean", found.mean), ("bias", found.bias), ("cosine", found.cosine), ("variance", found.variance),
      ("MSE", found.squaredError), ("descent", found.descent),
    ] {
      #expect(binomialLimits(successes: count, of: 300, confidence: 1 - 2e-7).upperBound >= 0.95, "\(name): \(count)")
    }
    #expect(found.runs == 300 && found.unbounded == 0)
    let gradient = try GradientTarget.expectedLoss.gradient(of: problem)
    let mean = try EstimatedMoments(of: SparseMixer(), on: problem).moments.mean
    var held = 0
    for run in 0..<150 {
      let samples = try Self.samples(SparseMixer(), on: problem, count: 60, stream: UInt64(run))
      let one = try Self.assessor(samples, gradient: gradient).assessment(.init(seed: UInt64(run)))
      let distance = norm(zip(one.moments.mean, mean).map { $0 - $1 })
      if distance <= 0.5 * (one.precision?.meanRadius ?? 0) { held += 1 }
    }
    #expect(
      binomialLimits(successes: held, of: 150, confidence: 1 - 2e-7).upperBound < 0.95, "half the radius: \(held)")
  }
}
