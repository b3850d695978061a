import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

/// Targets by hand, where they are not defined, and on tables.
@Suite struct TargetsTests {
  /// π = (½, ½), rays 2 and −4, `G(y) = y²`: F = (1, 4), c = (2, 8), J = ¼ of the difference.
  static func parabola() throws -> RoutedProblem {
    try RoutedProblem(
      .mixture(
        try MixtureProblem(
          logits: [0, 0], expertOutputs: [[2], [-4]], loss: try Quadratic(matrix: [[2]], linear: [0]))))
  }

  @Test(arguments: [
    (GradientTarget.expectedLoss, -2.25), (.routingTerm, -0.75), (.gatingTerm, -1.5),
    (.denseMixture, -3),  // y = −1, G' = −2: ¼(−4 − 8)
    (.denseBackward, -1.5),  // ½(2·2 − 4·2) = −2 and ½(−8 + 16) = 4: ¼(−2 − 4)
  ])
  func byHand(_ target: GradientTarget, _ coordinate: Double) throws {
    #expect(try target.gradient(of: Self.parabola()) == [coordinate, -coordinate])
  }

  @Test func expectedLoss() throws { #expect(try Self.parabola().expectedLoss() == 2.5) }

  @Test func pairsByHand() throws {
    // y = ½·2 − 4 = −3 after (0, 1), and −2 + 2 = 0 after (1, 0); the second draw is certain. G = 9, 0.
    let problem = try Self.parabola()
    #expect(try GradientTarget.routingTerm.gradient(of: problem, draws: 2) == [2.25, -2.25])
    // G' = −6, 0: π_i G' f_i = −6 and 0.
    #expect(try GradientTarget.gatingTerm.gradient(of: problem, draws: 2) == [-1.5, 1.5])
    #expect(try GradientTarget.expectedLoss.gradient(of: problem, draws: 2) == [0.75, -0.75])
  }

  @Test func undefined() throws {
    let problem = try Self.parabola()
    for target in [GradientTarget.denseMixture, .denseBackward] {
      #expect(throws: Unavailable("is not defined for two draws")) {
        try target.gradient(of: problem, draws: 2)
      }
    }
    let categorical = try RoutedProblem(
      .categorical(try CategoricalProblem(logits: [0, 1], objective: try Linear(coefficients: [1, 2]))))
    for target in GradientTarget.allCases where target != .expectedLoss {
      #expect(throws: Unavailable("is defined on mixture problems only")) {
        try target.gradient(of: categorical)
      }
    }
    #expect(throws: Unavailable("needs a mixture problem")) {
      try GradientTarget.expectedLoss.gradient(of: categorical, draws: 2)
    }
    let one = try RoutedProblem(
      .mixture(try MixtureProblem(logits: [1], expertOutputs: [[1]], loss: try Linear(coefficients: [1]))))
    #expect(throws: Unavailable("needs two experts")) {
      try GradientTarget.gatingTerm.gradient(of: one, draws: 2)
    }
    for target in GradientTarget.allCases { #expect(try target.gradient(of: one) == [0]) }
  }

  // MARK: - Tables

  /// The table that another program would hand over for a computed problem.
  static func tabulated(_ problem: RoutedProblem, nodes: [Double]) throws -> RoutedProblem {
    let (mixture, loss, directions) = try problem.computableMixture()
    let p = problem.distribution.probabilities
    func at(_ node: Double, _ i: Int) -> [Double] { directions.row(i).map { node * p[i] * $0 } }
    let table = MixtureTable(
      nodes: nodes,
      values: mixture.logits.indices.map { i in nodes.map { loss.value(at: at($0, i)) } },
      slopes: mixture.logits.indices.map { i in
        nodes.map { dot(loss.gradient(at: at($0, i)), directions.row(i)) }
      },
      valueAtZero: loss.value(at: [Double](repeating: 0, count: loss.dimension)), mask: problem.mask)
    return try RoutedProblem(
      .mixture(try MixtureProblem(logits: mixture.logits, expertOutputs: nil, source: .table(table))),
      mask: problem.mask)
  }

  static let mixtures = TestProblems.standard.filter { $0.problem.kind == .mixture }

  @Test(arguments: mixtures)
  func tablesEqualFunctions(_ problem: TestProblem) throws {
    let table = try Self.tabulated(problem.problem, nodes: [1, 0.5, 1.0 / 3, 0, 0.375, 12.0 / 13])
    for target in [GradientTarget.expectedLoss, .routingTerm, .gatingTerm] {
      let computed = try target.gradient(of: problem.problem)
      // Differences of F are what counts, and F may be large beside them.
      let scale = try norm(problem.problem.values())
      expectClose(try target.gradient(of: table), computed, relative: 1e-14, scale: scale, problem.name)
    }
    for target in [GradientTarget.denseMixture, .denseBackward] {
      #expect(throws: Unavailable("needs the loss as a function, which a table is not")) {
        try target.gradient(of: table)
      }
    }
    for specification in [
      "reinforce", "reinforce:baseline=leave-one-out,samples=3", "conventional", "first-order", "midpoint",
      "sparsemixer",
      "sparsemixer-v2", "quadrature:rule=simpson", "quadrature:rule=rkf5", "exact",
    ] {
      let estimator = try EstimatorRegistry.estimator(specification)
      let (ours, expected) = try (
        estimator.finiteOutcomes(on: table).moments(), estimator.finiteOutcomes(on: problem.problem).moments()
      )
      let scale = try norm(problem.problem.values())
      expectClose(
        ours.mean, expected.mean, relative: 1e-13, scale: scale, "\(specification) on \(problem.name)")
      expectClose(ours.variance, expected.variance, relative: 1e-13, scale: scale * scale, "\(specification)")
    }
    for (specification, reason) in [
      ("sparsemixer-v2:reference-constants=true", "needs the slope at 0.3333"),
      ("quadrature:points=2", "needs the slope at 0.211325"),
      ("straight-through", "needs the loss as a function, which a table is not"),
      ("reinmax", "needs the loss as a function, which a table is not"),
      ("dense-backward", "needs the loss as a function, which a table is not"),
      ("default-moe", "needs the loss as a function, which a table is not"),
      ("sparsemixer-v2-top2", "needs the loss as a function, which a table is not"),
    ] {
      let estimator = try EstimatorRegistry.estimator(specification)
      #expect(throws: Unavailable(reason), "\(specification)") { try estimator.finiteOutcomes(on: table) }
    }
  }
}
