import GSLNumerics
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

private let worst = WorstError("GSL's derivative")

/// Gradients of objectives, slopes along rays, targets and means of unbiased estimators against GSL's
/// numerical derivative, each within GSL's own estimate of its error.
@Suite(.seeded, .reporting(worst)) struct NumericalDerivativeTests {
  /// Compares one coordinate: within twice GSL's error estimate and the rounding of the function over its
  /// step, and asks that this be small enough to see a wrong gradient.
  private func compare(
    _ ours: Double, _ f: @escaping (Double) -> Double, at x: Double, scale: Double, _ quantity: String,
    _ place: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let numerical = try derivative(of: f, at: x)
    let allowed = 2 * numerical.error + 1e-11 * scale
    #expect(
      allowed <= 1e-5 * scale, "\(place): GSL's error \(numerical.error)", sourceLocation: sourceLocation)
    worst.record((ours - numerical.value) / scale, of: quantity, at: place)
    expectClose(
      ours, numerical.value, within: allowed, "\(quantity), \(place)", sourceLocation: sourceLocation)
  }

  static let places = ProblemMaker.objectives.flatMap { type in (1...4).map { (type, $0) } }

  @Test(arguments: places)
  func objectives(_ type: String, _ dimension: Int) throws {
    var maker = ProblemMaker("derivative of \(type) \(dimension)")
    for round in 0..<5 {
      let objective = try maker.objective(type, dimension: dimension)
      let point = maker.generator.normals(dimension)
      let gradient = objective.gradient(at: point)
      let scale = 1 + objective.value(at: point).magnitude + norm(gradient)
      for j in 0..<dimension {
        try compare(
          gradient[j],
          { x in
            var moved = point
            moved[j] = x
            return objective.value(at: moved)
          }, at: point[j], scale: scale, "gradient of \(type)", "round \(round), coordinate \(j)")
      }
    }
  }

  @Test(arguments: places)
  func rays(_ type: String, _ dimension: Int) throws {
    var maker = ProblemMaker("ray slopes of \(type) \(dimension)")
    let objective = try maker.objective(type, dimension: dimension)
    let directions = maker.generator.normals(3 * dimension)
    let multipliers = [0.6, 0.3, 0.1]
    let nodes = [1, 0.5, 1.0 / 3]
    let samples = objective.rays(RayBundle(directions: directions, multipliers: multipliers, nodes: nodes))
    for i in 0..<3 {
      let direction = Array(directions[i * dimension..<(i + 1) * dimension])
      for (k, node) in nodes.enumerated() {
        let slope = samples.slopes[3 * k + i]
        // The slope is along the unscaled direction, at the multiplier c π.
        try compare(
          slope, { t in objective.value(at: direction.map { t * $0 }) }, at: node * multipliers[i],
          scale: 1 + samples.values[i].magnitude + slope.magnitude, "slope of \(type)",
          "ray \(i), node \(node)")
      }
    }
  }

  /// Every objective in both kinds, masks included; the steep problems' derivatives drown in the rounding of
  /// L.
  static let problems = TestProblems.standard.filter { !$0.name.contains("steep") }

  @Test(arguments: problems)
  func targets(_ problem: TestProblem) throws {
    let loss = ExpectedLoss(problem.problem)
    for target in GradientTarget.allCases {
      if problem.problem.kind == .categorical, target != .expectedLoss { continue }
      let gradient = try target.gradient(of: problem.problem)
      let function = try loss.function(target)
      try compareAll(gradient, function, of: problem, "target \(target.rawValue)")
    }
    guard problem.problem.kind == .mixture, problem.problem.experts >= 2 else { return }
    for target in [GradientTarget.expectedLoss, .routingTerm, .gatingTerm] {
      let gradient = try target.gradient(of: problem.problem, draws: 2)
      try compareAll(gradient, try loss.pairFunction(target), of: problem, "pair target \(target.rawValue)")
    }
  }

  /// Means from the outcomes, for every estimator that claims to be unbiased.
  @Test(arguments: problems, EstimatorSpecifications.all)
  func unbiasedMeans(_ problem: TestProblem, _ specification: String) throws {
    let estimator = try EstimatorSpecifications.finite(specification)
    guard estimator.claims.exactness == .all, estimator.claims.kinds.contains(problem.problem.kind) else {
      return
    }
    let loss = ExpectedLoss(problem.problem)
    let mean: [Double]
    do {
      mean = try estimator.outcomes(of: problem.problem).moments().mean
    } catch {
      // What takes k experts needs as many.
      let k = try #require(Int("\(error)".split(separator: " ").dropFirst().first ?? ""), "\(error)")
      #expect(error == Unavailable("needs \(k) experts that may be drawn") && k > loss.support.count)
      return
    }
    let function = try estimator.claims.subsets.map { try loss.subsetFunction($0) }
    try compareAll(
      mean, try function ?? loss.function(estimator.claims.target), of: problem, "mean of unbiased estimators")
  }

  private func compareAll(
    _ gradient: [Double], _ function: @escaping ([Double]) -> Double, of problem: TestProblem,
    _ quantity: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let logits = problem.problem.problem.logits
    let scale = 1 + function(logits).magnitude + norm(gradient)
    for k in logits.indices {
      try compare(
        gradient[k],
        { x in
          var moved = logits
          moved[k] = x
          return function(moved)
        }, at: logits[k], scale: scale, quantity, "\(problem.name), coordinate \(k)",
        sourceLocation: sourceLocation)
    }
  }
}
