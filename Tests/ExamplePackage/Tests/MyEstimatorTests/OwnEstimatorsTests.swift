import Foundation
import MyEstimator
import RouteGrad
import Testing

/// Estimators that are written with what the library makes public, and judged by it.
struct OwnEstimatorsTests {
  private static let objectives: [ProblemGenerator.ObjectiveKind] = [.linear, .quadratic, .logCosh]

  /// Our pairs are ReinMax, written in another way: the same mean and variance on every problem.
  @Test func pairsAreReinMax() {
    let result = PropertyCheck(ProblemGenerator(objectives: Self.objectives)).run { problem in
      let (ours, theirs) = (try Assessment(of: HeunPairs(), on: problem), try Assessment(of: ReinMax(), on: problem))
      let moments = theirs.estimate.moments
      let scale = zip(moments.mean, moments.variance).reduce(0) { $0 + $1.0.magnitude + $1.1.squareRoot() }
      for (a, b) in zip(ours.estimate.moments.mean, theirs.estimate.moments.mean) where abs(a - b) > 1e-12 * scale {
        return "means \(a) and \(b)"
      }
      for (a, b) in zip(ours.estimate.moments.variance, theirs.estimate.moments.variance)
      where abs(a - b) > 1e-12 * scale * scale {
        return "variances \(a) and \(b)"
      }
      return nil
    }
    #expect(result.holds, "\(result.report)")
  }

  @Test func pairsHaveTheDegreeThatTheyClaim() throws {
    let certificate = try OrderCertificate(of: HeunPairs())
    #expect(certificate.verdict == .proved, "\(certificate)")
    #expect(throws: Unavailable("claims no degree of exactness")) { try OrderCertificate(of: HeunPairs(factor: 0.5)) }
  }

  /// θ = (0, 0), τ = 1: the first coordinate of softmax(Γ') is uniform, so `E p(1 − p) = 1/6` where the exact gradient has
  /// `1/4`, and the relative bias is 1/3. Its standard error is √(1/180)/(1/4)/√n = 0.0015; five of them are left
  /// with a probability of 6e-7.
  @Test func continuousNoiseIsSampled() throws {
    let problem = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [0, 0], objective: Linear(coefficients: [1, -1]))))
    let estimator = DecoupledGumbel()
    let options = AssessmentOptions(sampling: .init(samples: 40_000, seed: 1))
    let bias = try #require(try Assessment(of: estimator, on: problem, options: options).relativeBias)
    #expect(abs(bias - 1.0 / 3) < 5 * 0.0015, "the relative bias is \(bias)")
    #expect(throws: AssessmentError.unavailable(Unavailable("has no finite list of outcomes"))) {
      try Assessment(of: estimator, on: problem)
    }
  }

  /// What an estimator with continuous noise states of itself stands in for sampling, and claims about its samples rest on it.
  @Test(arguments: [(1.0, Verdict.consistent), (0.5, .refuted)])
  func statedMomentsAndBounds(factor: Double, verdict: Verdict) throws {
    let problem = try RoutedProblem(.mixture(try token()))
    let exact = try problem.expectedLossGradient()
    let assessment = try Assessment(of: RandomStep(), on: problem, options: AssessmentOptions(covariance: true))
    #expect(assessment.estimate.method == .quadrature && assessment.relativeBias == 0)
    #expect(assessment.estimate.moments.covariance?[0, 1] == exact[0] * exact[1] / 3)
    let sampler = try RandomStep().sampler(on: problem)
    var generator = Philox(seed: 1)
    var verifier = try SampleVerifier(Claim(RandomStep(), on: problem), criteria: Criteria())
    while verifier.add((0..<100).flatMap { _ in sampler.sample(using: &generator).map { factor * $0 } }) {}
    #expect(verifier.finish().verdict == verdict)
    #expect(throws: AssessmentError.self) { try Claim(DecoupledGumbel(), on: RoutedProblem(.categorical(pair()))) }
  }

  /// Labels leave out what is standard; what is not defined on a problem is said, and so is where a problem comes from.
  @Test func tables() throws {
    let report = try Report(
      [.mixture(token()), .categorical(pair())], estimators: [HeunPairs(factor: 0.5), HeunPairs(), BothSlopes()])
    let table = report.rendered(as: .table)
    #expect(table.contains("\n  heun-pairs:factor=0.5 ") && table.contains("\n  heun-pairs  "))
    #expect(table.contains("Not available: both-slopes (needs a mixture problem)."))
    #expect(table.contains("problems[1]"))
    #expect(report.problems.map { $0.entries.count } == [3, 3])
    let error = #expect(throws: Refusal.self) {
      try Report([.categorical(pair())], estimators: [HeunPairs()], mask: .paper(threshold: 0.1))
    }
    #expect(error?.description == "problems[0]: a categorical problem takes no mask")
  }

  /// The guide shows these files as they stand, and what the table's program prints.
  @Test(arguments: ["HeunPairs.swift", "OneTable.swift"])
  func theGuideShowsTheseFiles(name: String) throws {
    let package = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized
    let guide = try String(contentsOf: package.appending(path: "../../docs/guides/swift.md"), encoding: .utf8)
    let code = try String(contentsOf: package.appending(path: "Sources/MyEstimator/\(name)"), encoding: .utf8)
    #expect(guide.contains("```swift\n\(code)```\n"), "docs/guides/swift.md does not show \(name) as it stands")
    let table = try oneTable()
    #expect(guide.contains("```\n\(table)```\n"), "docs/guides/swift.md does not show\n\(table)")
  }

  private func token() throws -> MixtureProblem {
    try MixtureProblem(
      logits: [0.3, -1.2, 0.8], expertOutputs: [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]],
      loss: try LogCosh(scales: [1, 2], targets: [0.5, -0.5]))
  }

  private func pair() throws -> CategoricalProblem {
    try CategoricalProblem(logits: [0.5, 0], objective: Linear(coefficients: [1, -1]))
  }
}
