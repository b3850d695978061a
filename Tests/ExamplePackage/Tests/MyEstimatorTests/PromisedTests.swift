import Foundation
import RouteGrad
import Testing

/// What README and guides promise beside what one's own estimators need, used once, as a user would.
struct PromisedTests {
  // MARK: - Problems

  /// `½‖z‖²`, a loss of our own.
  struct HalfSquare: Objective {
    let dimension: Int
    func value(at point: [Double]) -> Double { point.reduce(0) { $0 + $1 * $1 } / 2 }
    func gradient(at point: [Double]) -> [Double] { point }
  }

  /// Slopes are read along rays from value and gradient alone: midpoint is exact for quadratics.
  @Test func aLossOfOurOwn() throws {
    let problem = try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: [0.5, 0, -1], expertOutputs: [[1, 2], [0, -1], [3, 0]], loss: HalfSquare(dimension: 2))))
    let assessment = try Assessment(of: Midpoint(), on: problem)
    #expect(try #require(assessment.relativeBias) < 1e-14 && assessment.estimate.method == .enumeration)
    #expect(
      abs(
        try problem.expectedLoss()
          - problem.values().enumerated().reduce(0) { $0 + problem.distribution.probabilities[$1.offset] * $1.element })
        < 1e-14)
  }

  @Test func objectivesOfTheLibrary() throws {
    let objectives: [any Objective] = [
      try Linear(coefficients: [1, -1]), try Quadratic(matrix: [[2, 1], [1, 3]], linear: [0, 1]),
      try Polynomial(coefficients: [0, 1, 2], direction: [1, -2]), try LogCosh(scales: [1, 2], targets: [0, 1]),
      try SeparablePower(exponent: 4, targets: [1, 0.5]),
      try SoftmaxCrossEntropy(weights: [[1, 0], [0, 1], [1, 1]], biases: [0, 0, 0], label: 0),
    ]
    for objective in objectives {
      let problem = try CategoricalProblem(logits: [0.3, -0.2], objective: objective)
      let assessment = try Assessment(of: Reinforce(), on: RoutedProblem(.categorical(problem)))
      #expect(try #require(assessment.relativeBias) < 1e-14, "\(objective)")
    }
    #expect(throws: InvalidInput.self) { try Linear(coefficients: [.nan]) }
  }

  /// A loss that is known where another program evaluated it, under a mask of its own.
  @Test func aTable() throws {
    let mask = Mask.paper(threshold: 0.1)
    let table = MixtureTable(
      nodes: [1], values: [[1], [2], [0]], slopes: [[1], [-1], [0]], valueAtZero: 0, mask: mask)
    let problem = try MixtureProblem(logits: [2, 1.9, -3], expertOutputs: nil, source: .table(table))
    let routed = try RoutedProblem(.mixture(problem), mask: mask)
    #expect(routed.distribution.support == [0, 1] && mask.support(of: routed.problem.logits) == [0, 1])
    #expect(routed.distribution.probabilities[2] == 0 && routed.experts == 3 && routed.kind == .mixture)
    #expect(
      try Assessment(of: Conventional(), on: routed, options: AssessmentOptions(target: .gatingTerm)).biasNorm == 0)
    #expect(throws: AssessmentError.self) { try Assessment(of: Midpoint(), on: routed) }
  }

  // MARK: - Estimators and exact moments

  /// README's first page.
  @Test func readme() throws {
    let routed = try RoutedProblem(.mixture(token()))
    let exact = try GradientTarget.expectedLoss.gradient(of: routed)
    let assessment = try Assessment(of: try EstimatorRegistry.estimator("sparsemixer"), on: routed)
    #expect(abs(try #require(assessment.relativeBias) - 0.105) < 5e-4)
    #expect(assessment.targetGradient == exact && assessment.estimate.moments.mean.count == 3)
    #expect(throws: InvalidEstimator.self) { try EstimatorRegistry.estimators(list: "reinmax,sparsemixr") }
  }

  /// Several experts at once: the law that draws them says what estimators of theirs are held against.
  @Test func subsets() throws {
    let routed = try RoutedProblem(.mixture(token()))
    let pairs = SubsetLaw.conditionalBernoulli(sizes: 2...2)
    let unbiased = SubsetReinforce(law: pairs, baseline: 0.1)
    #expect(unbiased.law == pairs && unbiased.baseline == 0.1 && unbiased.claims.subsets?.sizes == 2...2)
    let exact = try GradientTarget.expectedLoss.gradient(of: routed, subsets: pairs)
    let mean = try unbiased.outcomes(of: routed).moments().mean
    #expect(zip(mean, exact).allSatisfy { abs($0 - $1) < 1e-14 })
    #expect(try #require(try Assessment(of: SIMPLE(sizes: 2...2), on: routed).relativeBias) < 0.5)
    #expect(ProbMoE().sizes == 2...2 && SIMPLE().sizes == 2...2)
    #expect(SubsetLaw.plackettLuce(3).sizes == 3...3)
    var random = Philox(seed: 1)
    let sampler = try ProbMoE(sizes: 1...2).sampler(on: routed)
    #expect(sampler.sample(using: &random).count == 3)
    // k draws without replacement for the loss of one; of all experts there is but one set.
    let choices = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [0.1, -0.4, 0.3], objective: Linear(coefficients: [1, 2, -1]))))
    let sets = UnorderedSet(k: 3)
    #expect(sets.k == 3)
    let found = try sets.outcomes(of: choices)
    #expect(found.count == 1 && found.outcomes[0].choice == [0, 1, 2])
    #expect(try UnorderedSet().sampler(on: choices).sample(using: &random).count == 3)
    // Nothing is known of it but its outcomes.
    #expect(try sets.momentsInClosedForm(on: choices, covariance: false) == nil)
    #expect(DenseMixer(branch: .softmax).branch == .softmax && DenseMixer().branch == .gates)
  }

  /// Every estimator of the library says what it is worth on a problem, or why it is not defined there.
  @Test func everyEstimator() throws {
    let routed = try RoutedProblem(.mixture(token()))
    var integrated: [String] = []
    for estimator in EstimatorRegistry.standard {
      do throws(AssessmentError) {
        let estimate = try EstimatedMoments(of: estimator, on: routed)
        #expect(estimate.moments.variance.allSatisfy { $0 >= 0 }, "\(estimator.specification)")
        if estimate.method == .quadrature { integrated.append(type(of: estimator).id) }
      } catch {
        guard case .unavailable = error else { throw error }
      }
    }
    #expect(Set(integrated).isSuperset(of: ["gumbel-softmax-st", "gumbel-rao", "switch"]))
  }

  @Test func outcomes() throws {
    let routed = try RoutedProblem(.mixture(token()))
    let outcomes = try ReinMax().finiteOutcomes(on: routed)
    let total = try outcomes.enumerated().reduce(0) { $0 + $1.probability }
    #expect(outcomes.count == 3 && abs(total - 1) < 1e-15)
    #expect(outcomes.moments().mean == (try Assessment(of: ReinMax(), on: routed)).estimate.moments.mean)
    var generator = Philox(seed: 1)
    let drawn = OutcomeSampler(outcomes).sample(using: &generator)
    #expect(outcomes.outcomes.contains(drawn) && outcomes.gradient(of: drawn).count == 3)
  }

  // MARK: - Reports

  @Test func reports() throws {
    let text = try ProblemFile.text(of: .mixture(token()))
    let filed = try ProblemFile.problems(of: Array(text.utf8), file: "mine.json")
    #expect(filed.map(\.location) == ["mine.json (my-token)"])
    let report = try Report(
      on: filed,
      options: Report.Options(
        estimators: .listed([ReinMax()]), mask: .referenceCode(threshold: 0.1),
        assessment: AssessmentOptions(sampling: .init(samples: 1000, seed: 1)), threads: 2))
    #expect(try report.problems[0].entries[0].result.get().estimate.method == .monteCarlo)
    #expect(report.json.contains(#""schema": "routegrad.report/1""#) && report.csv.contains("reinmax"))
    #expect(
      report.rendered(as: .markdown).contains("| reinmax")
        && report.rendered(as: .table, layout: .init(details: true)).contains("reinmax"))
    let error = #expect(throws: Refusal.self) { try ProblemFile.problems(of: Array("{}".utf8), file: "mine.json") }
    #expect(error?.code == .wrongData && error?.description.hasPrefix("mine.json: ") == true)
    #expect(try ShippedProblems.all().count > 3 && routeGradVersion.split(separator: ".").count == 3)
  }

  // MARK: - Layers

  @Test func aLayer() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../..").standardized
    let bytes = try Data(contentsOf: root.appending(path: "Fixtures/layers/switch-block.safetensors"))
    let layer = try DumpedLayer(Array(bytes))
    let audit = try LayerAudit(layer, options: .init(estimators: [Exact(), Conventional()], threads: 2))
    #expect(audit.tokens == layer.tokens && audit.groups.contains(.routerWeight))
    let exact = try audit.entries[0].result.get()
    #expect(try #require(exact[.routerWeight]?.relativeBias) < 1e-12 && exact[.routerWeight]?.totalVariance == 0)
    #expect(try #require(try audit.entries[1].result.get()[.routerWeight]?.relativeBias) > 1e-3)
    #expect(audit.rendered(as: .table, name: "block").contains("conventional"))
    #expect(audit.json.contains(#""schema": "routegrad.audit/1""#) && !audit.csv.isEmpty)
    #expect(throws: InvalidInput.self) { try DumpedLayer(Array(bytes.prefix(1000))) }
    #expect(!layer.choosesExperts && audit.swaps == nil)
    #expect(DefaultMoE(k: 2).forwardLaw == .standIns(chosen: 2))

    let block = try DumpedLayer(
      Array(Data(contentsOf: root.appending(path: "Fixtures/layers/qwen2-moe-block.safetensors"))))
    #expect(block.choosesExperts)
    let options = LayerAudit.Options(for: block, estimators: [DenseMixer()], threads: 2)
    let chosen = try LayerAudit(block, options: options)
    let figures = try chosen.entries[0].result.get()
    #expect(chosen.target == .denseBackward && figures[.routerWeight]?.biasNorm == 0)
    let swaps = try #require(chosen.swaps)
    #expect(swaps.tokens == 7 && swaps.evaluations == 28 && swaps.lowered > 0 && swaps.gain > 0 && swaps.change < 0)
  }

  /// With a network in which tokens do not meet, one draw has the exact gradient: `J(π) L`.
  @Test func conditionalEnumeration() {
    let distributions = [RoutingDistribution(logits: [0.2, -0.4]), RoutingDistribution(logits: [1, 0, 0.5])]
    let estimate = ConditionalEnumeration.gradient(of: [1], distributions: distributions, draws: 3, seed: 1, threads: 2)
    {
      choices in .init(loss: Double(choices[1] * choices[1]), slopes: [0, 0])
    }
    #expect(estimate.mean[0] == distributions[1].jacobianProduct([0, 1, 4]))
    #expect(estimate.standardError[0].allSatisfy { $0 == 0 } && estimate.evaluations == 9)
  }

  private func token() throws -> MixtureProblem {
    try MixtureProblem(
      name: "my-token", logits: [0.3, -1.2, 0.8], expertOutputs: [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]],
      loss: try LogCosh(scales: [1, 2], targets: [0.5, -0.5]))
  }
}
