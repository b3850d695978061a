import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

private let worst = WorstError("ray sweep")

/// The sweep over many rules at once against each rule's own list of outcomes.
@Suite(.seeded, .reporting(worst)) struct RaySweepTests {
  static let specifications =
    ["conventional", "first-order", "midpoint", "sparsemixer", "sparsemixer-v2"]
    + ["simpson", "rkf5", "gauss-legendre"].flatMap { rule in
      ["all-nodes", "one-node"].map { "quadrature:rule=\(rule),evaluation=\($0)" }
    }

  private func rules(_ specifications: [String]) throws -> [RayRule] {
    try specifications.map { try #require(EstimatorRegistry.estimator($0) as? any RayEstimator).rule }
  }

  /// A sweep over several problems one after another, each compared with the outcomes of every rule.
  private func compare(_ specifications: [String], _ problems: [TestProblem]) throws {
    let rules = try rules(specifications)
    let experts = problems[0].problem.experts
    let sweep = RaySweep(rules: rules, experts: experts)
    for problem in problems {
      let (mixture, loss, directions) = try problem.problem.computableMixture()
      var means = [Double](repeating: .nan, count: (rules.count + 1) * experts)
      var variances = means
      var totals = [Double](repeating: .nan, count: rules.count + 1)
      evaluate(sweep, mixture.logits, directions.elements, loss, &means, &variances, &totals)
      let own = try rules.map { rule in
        rule.outcomes(
          on: problem.problem.distribution, rays: try problem.problem.rays(nodes: rule.nodes)
        ).moments()
      }
      let routing = problem.problem.distribution.scoreMoments(weights: try problem.problem.values())
      let scale = own.reduce(0) { max($0, norm($1.mean) + $1.totalVariance.squareRoot()) }
      for (row, expected) in (own + [routing]).enumerated() {
        let place = "\(row < rules.count ? specifications[row] : "routing term") on \(problem.name)"
        let range = row * experts..<(row + 1) * experts
        expectClose(
          Array(means[range]), expected.mean, relative: 1e-13, scale: scale, to: worst, quantity: "mean",
          place)
        expectClose(
          Array(variances[range]), expected.variance, relative: 1e-13, scale: scale * scale, to: worst,
          quantity: "variance", place)
        expectClose(
          [totals[row]], [expected.totalVariance], relative: 1e-13, scale: scale * scale, to: worst,
          quantity: "total variance", place)
      }
    }
  }

  private func evaluate(
    _ sweep: RaySweep, _ logits: [Double], _ directions: [Double], _ loss: some Objective,
    _ means: inout [Double],
    _ variances: inout [Double], _ totals: inout [Double]
  ) {
    var m = means.mutableSpan
    var v = variances.mutableSpan
    var t = totals.mutableSpan
    sweep.evaluate(
      logits: logits.span, directions: directions.span, loss: loss, means: &m, variances: &v,
      totalVariances: &t)
  }

  private func problems(_ experts: Int, type: String) throws -> [TestProblem] {
    var maker = ProblemMaker("sweep \(experts) \(type)")
    return try [0.5, 3, 12].map {
      try maker.problem(
        "\(type), \(experts) experts, spread \($0)", kind: .mixture, type: type, experts: experts, width: 3,
        spread: $0)
    }
  }

  @Test(arguments: [1, 2, 3, 7, 8, 9, 16, 23, 40])
  func agreesWithOutcomes(_ experts: Int) throws {
    try compare(Self.specifications, problems(experts, type: "log-cosh"))
  }

  @Test(arguments: ProblemMaker.objectives)
  func everyObjective(_ type: String) throws {
    try compare(Self.specifications, problems(5, type: type))
  }

  /// Rows are worked out eight at a time.
  @Test(arguments: [1, 2, 6, 7, 8, 9, 11])
  func anyNumberOfRules(_ count: Int) throws {
    try compare(Array(Self.specifications.prefix(count)), problems(10, type: "log-cosh"))
  }

  @Test func wrongLengthsTrap() async {
    await #expect(processExitsWith: .failure) { _ = RaySweep(rules: [], experts: 3) }
    await #expect(processExitsWith: .failure) {
      _ = RaySweep(rules: [RayRule(nodes: [1], others: [.init(weights: [1])])], experts: 0)
    }
  }
}
