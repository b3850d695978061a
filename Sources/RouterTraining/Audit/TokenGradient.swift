import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// One token's routing problem: logits, the experts' scaled outputs, and the loss.
struct TokenProblem: Sendable {
  var logits: [Double]
  /// `ω ⊙ f_i`, `[experts][width]`.
  var directions: [[Double]]
  var loss: HeadLoss
  /// `L + y·∂L/∂y` at what stands for `p_i f_i` where i was not chosen, `[experts]`; nil where nothing has to.
  var contrasts: [Double]?
  /// Of which only the most probable expert that was not chosen has its own, the others G(0).
  var onlyTopContrast = false
}

/// The exact moments of a token's logit gradient, and the exact gradient of its expected loss.
struct TokenGradient: Sendable {
  var mean: [Double]
  var totalVariance: Double
  var target: [Double]

  /// - Parameters:
  ///   - batch: the tokens of a training step.
  ///   - continuing: asked now and then; false calls integrals off.
  /// - Throws: `Unavailable` if the law is not known, or its integral is out of reach or was called off.
  init(
    _ problem: TokenProblem, law: GradientLaw, batch: Int, continuing: () -> Bool = { true }
  ) throws(Unavailable) {
    switch law {
    case .rule(let rule, let mask):
      let routed = try problem.routed(mask)
      self.init(
        rule.outcomes(on: routed.distribution, rays: try routed.rays(nodes: rule.nodes)), try Self.target(routed))
    case .estimator(let estimator, let mask):
      let routed = try problem.routed(mask)
      self.init(
        try estimator.outcomes(of: routed), try GradientTarget.expectedLoss.gradient(of: routed, as: estimator.claims))
    case .reinforce(let baseline, let mask):
      let routed = try problem.routed(mask)
      let estimator = Reinforce(baseline: .constant(baseline * Double(batch)))
      self.init(try estimator.outcomes(of: routed), try Self.target(routed))
    case .jitteredArgmax(let r, let hasCoin, let mask):
      try self.init(problem, r: r, hasCoin: hasCoin, mask: mask, continuing: continuing)
    case .detached(let r): try self.init(problem, detached: r)
    case .silent:
      self.init(target: try Self.target(problem.routed(.none)))
    case .unknown: throw Unavailable("has no law for each token")
    }
  }

  private init(_ outcomes: OutcomeDistribution, _ target: [Double]) {
    let moments = outcomes.moments()
    mean = moments.mean
    totalVariance = moments.totalVariance
    self.target = target
  }

  /// Zero.
  private init(target: [Double]) { (mean, totalVariance, self.target) = (target.map { _ in 0 }, 0, target) }

  private static func target(_ problem: RoutedProblem) throws(Unavailable) -> [Double] {
    try GradientTarget.expectedLoss.gradient(of: problem)
  }

  /// Of a gate at c = 1 and c = ½ with probability ½ each, doubled: the mean is the conventional one of `G(y) + 2 G(y/2)`, the second
  /// moment the sum of those of `√2 G(y)` and `2√2 G(y/2)`.
  private init(
    _ problem: TokenProblem, r: Double, hasCoin: Bool, mask: Mask, continuing: () -> Bool
  ) throws(Unavailable) {
    func moments(_ terms: [(weight: Double, scale: Double)]) throws(Unavailable) -> Moments {
      let routed = try problem.routed(mask, loss: CombinedLoss(base: problem.loss, terms: terms))
      do {
        return try JitterExpectation.moments(
          of: Switch(jitter: r), on: routed, options: IntegrationOptions(tolerance: Self.tolerance),
          continuing: { _ in continuing() }
        ).moments
      } catch {
        throw Unavailable("\(error)")
      }
    }
    target = try Self.target(problem.routed(mask))
    guard hasCoin else {
      let all = try moments([(1, 1)])
      (mean, totalVariance) = (all.mean, all.totalVariance)
      return
    }
    mean = try moments([(1, 1), (2, 0.5)]).mean
    let root = 2.0.squareRoot()
    totalVariance = -Self.square(mean)
    for part in [try moments([(root, 1)]), try moments([(2 * root, 0.5)])] {
      totalVariance += part.totalVariance + Self.square(part.mean)
    }
  }

  /// `J(p) a(D)`.
  private init(_ problem: TokenProblem, detached r: Double?) throws(Unavailable) {
    let routed = try problem.routed(.none)
    target = try Self.target(routed)
    guard let r, let contrasts = problem.contrasts else {
      (mean, totalVariance) = (target, 0)
      return
    }
    let p = routed.distribution.probabilities
    let experts = p.indices
    let exact = experts.map { i in problem.loss.contrast(at: problem.directions[i].map { p[i] * $0 }) }
    let null = problem.loss.value(at: [Double](repeating: 0, count: problem.loss.dimension))
    let chances = JitterExpectation.selectionProbabilities(logits: problem.logits, r: r)
    mean = p.map { _ in 0 }
    var second = 0.0
    for d in experts where chances[d] > 0 {
      let top = experts.filter { $0 != d }.max { p[$0] < p[$1] }
      let a = experts.map { $0 == d ? exact[d] : !problem.onlyTopContrast || $0 == top ? contrasts[$0] : null }
      let gradient = routed.distribution.jacobianProduct(a)
      for k in experts { mean[k] += chances[d] * gradient[k] }
      second += chances[d] * Self.square(gradient)
    }
    totalVariance = max(second - Self.square(mean), 0)
  }

  /// Far below what is printed.
  private static let tolerance = 1e-6

  private static func square(_ x: [Double]) -> Double { x.reduce(0) { $0 + $1 * $1 } }
}

extension TokenProblem {
  func routed(_ mask: Mask, loss: (any Objective)? = nil) throws(Unavailable) -> RoutedProblem {
    do throws(InvalidInput) {
      let mixture = try MixtureProblem(logits: logits, expertOutputs: directions, loss: loss ?? self.loss)
      return try RoutedProblem(.mixture(mixture), mask: mask)
    } catch {
      throw Unavailable("\(error)")
    }
  }
}

extension Objective {
  /// `L + y·∂L/∂y`.
  func contrast(at y: [Double]) -> Double {
    value(at: y) + zip(gradient(at: y), y).reduce(0) { $0 + $1.0 * $1.1 }
  }
}
