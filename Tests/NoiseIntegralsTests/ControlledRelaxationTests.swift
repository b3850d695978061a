import CStandardLibrary
import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import RoutingVerification
import Testing
import _TestSupport

private let worst = WorstError("relaxed-controls.json")

/// REBAR and RELAX: integrals against 40-digit arithmetic and complex steps, samplers against integrals, and that neither is biased.
@Suite(.seeded, .reporting(worst)) struct ControlledRelaxationTests {
  // MARK: - Reference values

  struct Reference: Decodable {
    struct Case: Decodable, CustomTestStringConvertible {
      var problem: ProblemFile
      var tau: Double
      var eta: Double
      var coupled: Bool
      var weights: [Double]?
      var mean: [ReferenceNumber]
      var covariance: [[ReferenceNumber]]

      var testDescription: String { "\(mean.count) experts, tau \(tau), coupled \(coupled), w \(weights != nil)" }
    }
    var cases: [Case]
  }

  static let references = (try? Fixtures.decode(Reference.self, from: "reference/relaxed-controls.json").cases) ?? []

  @Test func fileIsComplete() {
    #expect(Self.references.count == 45)
    #expect(Set(Self.references.map(\.mean.count)) == [2, 3])
  }

  /// Means and covariances to 1e-12 of the largest second moment's size.
  @Test(arguments: references) func agrees(_ reference: Reference.Case) throws {
    let problem = try RoutedProblem(try reference.problem.problem())
    let control = try reference.weights.map { RelaxedFunction(weights: $0) } ?? RelaxedFunction(problem)
    let sampler = try ControlledSampler(
      problem, control: control, scale: reference.eta, temperature: reference.tau, isCoupled: reference.coupled)
    let mean = reference.mean.values
    let found = try #require(
      try ControlledIntegral(sampler, covariance: true).moments(
        tolerance: 1e-10, threads: 2, continuing: { _ in true })
    )
    let covariance = reference.covariance.flatMap(\.values)
    let square = mean.indices.reduce(0) { max($0, mean[$1] * mean[$1] + covariance[$1 * mean.count + $1]) }
    expectClose(
      found.moments.mean, mean, relative: 1e-12, scale: square.squareRoot(), to: worst, quantity: "mean",
      reference.testDescription)
    expectClose(
      try #require(found.moments.covariance).elements, covariance, relative: 1e-12, scale: square, to: worst,
      quantity: "covariance", reference.testDescription)
    for (a, b) in zip(found.moments.mean, mean) { #expect((a - b).magnitude <= found.meanError) }
    for (a, b) in zip(found.moments.covariance?.elements ?? [], covariance) {
      #expect((a - b).magnitude <= found.varianceError)
    }
  }

  // MARK: - Unbiased

  static let specifications = [
    "rebar", "rebar:tau=0.1,eta=0.5", "rebar:tau=3,eta=-2", "rebar:tau=0.5,eta=1,coupled=true", "relax",
    "relax:tau=0.1",
    "relax:tau=2,coupled=true",
  ]

  static func problems() throws -> [RoutedProblem] {
    var problems: [RoutedProblem] = []
    for logits in [[0.4, -0.9], [0.4, -0.9, 1.1], [12, -20], [0, 0, -10]] {
      let objective = try LogCosh(
        scales: logits.indices.map { 1 + 0.5 * Double($0) }, targets: logits.map { 0.1 * $0 })
      problems.append(try RoutedProblem(.categorical(CategoricalProblem(logits: logits, objective: objective))))
    }
    let loss = try LogCosh(scales: [1, 2], targets: [0.5, -0.5])
    let outputs = [[0.5, -1.5], [1.25, 0.75], [-0.6, 0.9], [2, 1]]
    for mask in [Mask.none, .paper(threshold: 0.3)] {
      problems.append(
        try RoutedProblem(
          .mixture(MixtureProblem(logits: [1, 0.9, -3], expertOutputs: Array(outputs.prefix(3)), loss: loss)),
          mask: mask))
    }
    // Two of four are left.
    problems.append(
      try RoutedProblem(
        .mixture(MixtureProblem(logits: [1, 0.9, -3, -4], expertOutputs: outputs, loss: loss)),
        mask: .paper(threshold: 0.3)))
    return problems
  }

  @Test(arguments: specifications) func meansAreTheTarget(_ specification: String) throws {
    let estimator = try EstimatorRegistry.estimator(specification)
    // Three experts take their time without optimisation: all of them for the standard parameters alone.
    let isStandard = !specification.contains(":")
    for problem in try Self.problems() where isStandard || problem.distribution.support.count == 2 {
      let found = try Assessment(
        of: estimator, on: problem,
        options: AssessmentOptions(covariance: true, integration: IntegrationOptions(threads: 2)))
      let place = "\(specification) on \(problem.problem.logits)"
      #expect(found.estimate.method == .quadrature, "\(place)")
      let target = try #require(found.targetGradient)
      for (a, b) in zip(found.estimate.moments.mean, target) {
        #expect((a - b).magnitude <= found.estimate.meanError + 1e-15, "\(place)")
      }
      #expect(found.estimate.meanError <= 1e-9 * (1 + found.estimate.moments.totalVariance.squareRoot()), "\(place)")
      let matrix = try #require(found.estimate.moments.covariance)
      for j in 0..<problem.experts {
        #expect(
          matrix.row(j).reduce(0, +).magnitude <= 1e-10 * max(found.estimate.moments.totalVariance, 1e-300), "\(place)")
      }
    }
  }

  /// Samples, within Bernstein's bounds of the integrals (error rates: ``FalseFailures``).
  @Test(arguments: specifications) func samplersAgree(_ specification: String) throws {
    let estimator = try EstimatorRegistry.estimator(specification)
    guard case .continuous(let sampled) = estimator.randomness else { throw InvalidEstimator("not sampled") }
    for (number, problem) in try Self.problems().enumerated() where number < 2 || number == 4 {
      let exact = try EstimatedMoments(of: estimator, on: problem).moments
      var generator = TestSeed.generator("\(specification) \(number)")
      try Self.hold(sampled, on: problem, to: exact, using: &generator, name: "\(specification) \(number)")
    }
  }

  private static func hold(
    _ estimator: some SamplingEstimator, on problem: RoutedProblem, to exact: Moments, using generator: inout Philox,
    name: String
  ) throws {
    let sampler = try estimator.sampler(on: problem)
    let bounds = try? estimator.bounds(on: problem)
    let samples = SampledMoments(4000, coordinates: problem.experts) {
      let sample = sampler.sample(using: &generator)
      if let bounds {
        for k in sample.indices {
          #expect(sample[k] >= bounds.lower[k] - 1e-12 && sample[k] <= bounds.upper[k] + 1e-12, "\(name)")
        }
      }
      return sample
    }
    samples.expect(exact, range: 2 * samples.range, name)
  }

  /// RELAX states bounds, REBAR cannot: f between the one-hots may be anything.
  @Test func bounds() throws {
    let problem = try Self.problems()[0]
    #expect(throws: Unavailable.self) { try REBAR().bounds(on: problem) }
    let bounds = try RELAX().bounds(on: problem)
    #expect(bounds.lower.allSatisfy(\.isFinite) && zip(bounds.lower, bounds.upper).allSatisfy { $0 < $1 })
  }

  /// More experts are sampled, and unbiased within the bounds of sampling: ten standard errors of 20 000 samples, which fails at another seed
  /// with probability below 1e-20 for bounded samples of this size, and finds a bias of twenty.
  @Test(arguments: ["rebar", "relax"]) func moreExpertsAreSampled(_ specification: String) throws {
    let logits = [0.4, -0.9, 1.1, 0.2, -0.3]
    let problem = try RoutedProblem(
      .categorical(CategoricalProblem(logits: logits, objective: SeparablePower(exponent: 3, targets: logits))))
    let found = try Assessment(
      of: EstimatorRegistry.estimator(specification), on: problem,
      options: AssessmentOptions(integration: IntegrationOptions(samples: 20_000)))
    #expect(found.estimate.method == .monteCarlo && found.estimate.samples == 20_000)
    for (a, b) in zip(found.estimate.moments.mean, try problem.expectedLossGradient()) {
      #expect((a - b).magnitude <= 10 * found.estimate.meanError)
    }
  }

  /// The surrogate takes off most of the variance, where c = f leaves much: RELAX's w holds the best baseline.
  @Test func surrogateLowersTheVariance() throws {
    for problem in try Self.problems()
    where problem.problem.logits.count == 2 || problem.distribution.support.count == 2 {
      func variance(_ specification: String) throws -> Double {
        try EstimatedMoments(of: EstimatorRegistry.estimator(specification), on: problem).moments.totalVariance
      }
      let best = try variance("reinforce:baseline=optimal")
      let (own, plain) = (try variance("relax"), try variance("reinforce"))
      #expect(own <= 1.05 * best + 0.01 * plain, "\(problem.problem.logits): \(own), \(best), \(plain)")
    }
  }

  // MARK: - Edge cases

  @Test func oneExpert() throws {
    let problem = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [2], objective: Linear(coefficients: [3]))))
    for specification in ["rebar", "relax"] {
      let found = try EstimatedMoments(of: EstimatorRegistry.estimator(specification), on: problem)
      #expect(found.moments.mean == [0] && found.moments.totalVariance == 0)
    }
  }

  @Test func tables() throws {
    let table = try RoutedProblem(
      .categorical(
        CategoricalProblem(logits: [1, 2], source: .table(values: [0.5, 2], gradients: [[0, 0], [0, 0]]))))
    #expect(throws: Unavailable.self) { try REBAR().sampler(on: table) }
    let found = try Assessment(of: RELAX(), on: table)
    #expect(try #require(found.biasNorm) <= 1e-10)
  }

  @Test func extremes() throws {
    for logits in [[1e308, -1e308], [0, 0], [700, -700, 0]] {
      for tau in [1e-300, 0.05, 1e300] {
        let problem = try RoutedProblem(
          .categorical(CategoricalProblem(logits: logits, objective: Linear(coefficients: logits.map { _ in 2 }))))
        var generator = TestSeed.generator("controlled extremes")
        let sampler = try REBAR(temperature: tau).sampler(on: problem)
        for _ in 0..<10 { #expect(sampler.sample(using: &generator).allSatisfy { !$0.isNaN }) }
        _ = try RELAX(temperature: tau).weights(on: problem)
        let found = try EstimatedMoments(
          of: REBAR(temperature: tau), on: problem,
          options: AssessmentOptions(integration: IntegrationOptions(samples: 100)))
        #expect(found.moments.isFinite, "\(logits) \(tau)")
      }
    }
    let many = try RoutedProblem(
      .categorical(
        CategoricalProblem(
          logits: [Double](repeating: 0, count: 65),
          objective: Linear(coefficients: [Double](repeating: 1, count: 65)))))
    #expect(throws: Unavailable("fits its control variate for at most 64 experts that may be drawn")) {
      try RELAX().sampler(on: many)
    }
  }

  // MARK: - Planted twins

  /// What people get wrong: z̃ differentiated as if its noise were free, or not at all. Both have another mean, by integrals, and their samples
  /// are refuted (rates 1e-6 and 1e-3; the runs have fixed seeds).
  @Test(arguments: ["free", "detached", "unscored"]) func wrongTwinsAreRefuted(_ mistake: String) throws {
    let problem = try Self.linear()
    let sampler = try ControlledSampler(
      problem, control: RelaxedFunction(problem), scale: 1, temperature: 0.5, isCoupled: false)
    let target = try problem.expectedLossGradient()
    var generator = TestSeed.generator("wrong rebar \(mistake)")
    func rows(_ wrong: Bool) -> [Double] {
      (0..<64).flatMap { _ in
        let (choice, free, conditional) = sampler.draw(using: &generator)
        let own = sampler.parts(of: choice, distances: conditional)
        let other = sampler.parts(of: choice, distances: free)
        let level = sampler.score(choice, times: own.level)
        return sampler.uncontrolled(choice).enumerated().map { k, value in
          switch wrong ? mistake : "" {
          case "free": value - level[k] + other.free[k] - own.free[k]
          case "detached": value - level[k] + other.free[k]
          case "unscored": value + other.free[k] - own.conditional[k]
          default: value - level[k] + other.free[k] - own.conditional[k]
          }
        }
      }
    }
    let bounds = SampleBounds(-8...8, coordinates: problem.experts)
    let claim = Claim(subject: "the gradient", mean: target, bounds: bounds)
    for wrong in [true, false] {
      var verifier = try SampleVerifier(
        claim, criteria: Criteria(relativeDetectableBias: 0.2), draws: .none, budget: 200_000)
      while verifier.add(rows(wrong)) {}
      #expect(verifier.finish().verdict == (wrong ? .refuted : .consistent), "\(mistake) \(wrong)")
    }
  }

  static func linear() throws -> RoutedProblem {
    try RoutedProblem(
      .categorical(CategoricalProblem(logits: [0.4, -0.9, 1.1], objective: Linear(coefficients: [2, -1.5, -0.5]))))
  }

  /// z̃ drawn from z's own law, not given D, has no mean either: a mistake that costs variance and no bias.
  @Test func unconditionalDrawsAreUnbiased() throws {
    let problem = try Self.linear()
    let estimator = REBAR()
    let sampler = try estimator.sampler(on: problem)
    var generator = TestSeed.generator("unconditional rebar")
    let exact = try EstimatedMoments(of: estimator, on: problem).moments
    let samples = SampledMoments(20_000, coordinates: problem.experts) {
      let (choice, free, _) = sampler.draw(using: &generator)
      let (other, relaxed, _) = sampler.draw(using: &generator)
      let (own, strange) = (sampler.parts(of: choice, distances: free), sampler.parts(of: other, distances: relaxed))
      let level = sampler.score(choice, times: strange.level)
      return sampler.uncontrolled(choice).enumerated().map { $1 - level[$0] + own.free[$0] - strange.free[$0] }
    }
    let target = try problem.expectedLossGradient()
    for k in target.indices {
      let variance = samples.second[k] - samples.first[k] * samples.first[k]
      #expect(variance > 1.2 * exact.variance[k], "\(variance) \(exact.variance[k])")
      #expect((samples.first[k] - target[k]).magnitude <= 8 * (variance / 20_000).squareRoot())
    }
  }
}
