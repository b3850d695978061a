import RoutingCore
import RoutingEstimators

extension GradientTarget {
  /// The exact gradient that this target stands for, `[experts]`.
  ///
  /// Every target is `J(π) w` for some w: `F + c` (expected loss), `F` (routing term), `c` (gating term),
  /// `[G'(Σ_j π_j f_j)·f_i]_i` (dense mixture), `Σ_D π_D [G'(π_D f_D)·f_i]_i` (dense backward). Two draws without
  /// replacement have their own expected loss, over pairs.
  ///
  /// - Parameters:
  ///   - problem: the problem and its mask, which is held constant.
  ///   - draws: 1, or 2 for the pairs of `PairDistribution`.
  ///   - subsets: how several experts are drawn at once; then `draws` is not looked at.
  /// - Throws: `Unavailable` where the target is not defined: only the expected loss on categorical problems, no dense
  ///   target for pairs and subsets, what a tabulated loss does not hold, and more subsets than are listed.
  ///
  /// *Source*: arXiv 2310.00811 for `∇₀ + ∇₁`, arXiv 2504.12463 for the dense backward.
  public func gradient(
    of problem: RoutedProblem, draws: Int = 1, subsets: SubsetLaw? = nil
  ) throws(Unavailable) -> [Double] {
    if problem.kind == .categorical, self != .expectedLoss {
      throw Unavailable("is defined on mixture problems only")
    }
    if let subsets { return try subsetGradient(of: problem, subsets) }
    if draws == 2 { return try pairGradient(of: problem) }
    let distribution = problem.distribution
    switch self {
    case .expectedLoss: return try problem.expectedLossGradient()
    case .routingTerm: return distribution.jacobianProduct(try problem.values())
    case .gatingTerm: return distribution.jacobianProduct(try problem.gatingWeights())
    case .denseMixture:
      let (_, loss, directions) = try problem.computableMixture()
      let rows = (0..<problem.experts).map { directions.row($0) }
      let gradient = loss.gradient(at: distribution.mean(of: rows))
      return distribution.jacobianProduct(rows.map { dot(gradient, $0) })
    case .denseBackward:
      // By linearity the slopes of the mean gradient: Σ_D π_D G'(π_D f_D)·f_i.
      let (_, loss, directions) = try problem.computableMixture()
      let gradients = (0..<problem.experts).map { i in
        loss.gradient(at: distribution.share(i, of: directions.row(i)))[...]
      }
      let mean = distribution.mean(of: gradients)
      return distribution.jacobianProduct((0..<problem.experts).map { dot(mean, directions.row($0)) })
    }
  }

  /// The pairs' targets. With `G_ij = G(π_i f_i + π'_j f_j)`, slopes a_ij, b_ij of G there along f_i and f_j,
  /// ```
  /// ∇₀ = J(π) [Σ_j π'_j G_ij]_i + Σ_i π_i J(π'_i) [G_ij]_j,
  /// ∇₁ = J(π) [π_i Σ_j π'_j a_ij]_i + Σ_i π_i J(π'_i) [π'_j b_ij]_j.
  /// ```
  private func pairGradient(of problem: RoutedProblem) throws(Unavailable) -> [Double] {
    let (_, loss, directions) = try problem.computableMixture()
    let pairs = try PairDistribution(problem)
    let routing = self == .expectedLoss || self == .routingTerm
    let gating = self == .expectedLoss || self == .gatingTerm
    guard routing || gating else { throw Unavailable("is not defined for two draws") }
    var outer = [Double](repeating: 0, count: problem.experts)
    var total = [CompensatedSum](repeating: CompensatedSum(), count: problem.experts)
    for i in pairs.first.support {
      guard let second = pairs.second[i] else { continue }
      var inner = [Double](repeating: 0, count: problem.experts)
      var conditional = CompensatedSum()
      let own = pairs.first.share(i, of: directions.row(i))
      var points: [Double] = []
      points.reserveCapacity(second.support.count * loss.dimension)
      for j in second.support {
        var point = second.share(j, of: directions.row(j))
        for k in point.indices { point[k] += own[k] }
        points += point
      }
      let (values, gradients) = loss.evaluate(points, count: second.support.count)
      for (k, j) in second.support.enumerated() {
        if routing {
          let value = values[k]
          inner[j] += value
          conditional += second.share(j, of: value)
        }
        if gating {
          let gradient = gradients[k * loss.dimension..<(k + 1) * loss.dimension]
          inner[j] += second.share(j, of: dot(gradient, directions.row(j)))
          let slope = dot(gradient, directions.row(i))
          conditional +=
            pairs.first.roots == nil && second.roots == nil
            ? second.probabilities[j] * pairs.first.probabilities[i] * slope
            : second.share(j, of: pairs.first.share(i, of: slope))
        }
      }
      outer[i] = conditional.value
      for (k, value) in second.jacobianProduct(inner).enumerated() { total[k] += pairs.first.share(i, of: value) }
    }
    for (k, value) in pairs.first.jacobianProduct(outer).enumerated() { total[k] += value }
    return total.map(\.value)
  }
}

extension GradientTarget {
  /// The gradient that an estimator is held against: its own draws'.
  package func gradient(of problem: RoutedProblem, as claims: Claims) throws(Unavailable) -> [Double] {
    try gradient(of: problem, draws: claims.draws, subsets: claims.subsets)
  }

  /// The targets of subsets, `∇₀ = Σ_S P(S) F(S) ∇log P(S)` and `∇₁ = J(π) Σ_S P(S) (s_S ⊙ 1_S)`. F is taken relative to the most probable
  /// subset, which changes nothing, the scores having no mean.
  ///
  /// Of linear objectives and the conditional Bernoulli law without a list: `∇₀ = Cov z · ∂F/∂z` and `∇₁ = J(π) (s ⊙ μ)`.
  private func subsetGradient(of problem: RoutedProblem, _ law: SubsetLaw) throws(Unavailable) -> [Double] {
    let routing = self == .expectedLoss || self == .routingTerm
    let gating = problem.kind == .mixture && (self == .expectedLoss || self == .gatingTerm)
    guard routing || gating else { throw Unavailable("is not defined for subsets") }
    let all = try SubsetDistribution(law, of: problem)
    var total = [CompensatedSum](repeating: CompensatedSum(), count: problem.experts)
    var slopes = total
    if problem.isLinear, let moments = all.moments {
      let evaluation = try problem.evaluations(at: [problem.distribution.support])[0]
      for (k, value) in moments.covarianceProduct(evaluation.gradient).enumerated() where routing {
        total[k] += value
      }
      for (k, mu) in moments.marginals.enumerated() { slopes[k] += mu * evaluation.slopes[k] }
    } else {
      let subsets = try all.subsets()
      let shares = subsets.map { all.probability(of: $0) }
      let evaluations = try problem.evaluations(at: subsets)
      let top = shares.indices.max { shares[$0].value < shares[$1].value } ?? 0
      for (place, (value, root)) in shares.enumerated() {
        func share(_ x: Double) -> Double { root.map { ($0 * x) * $0 } ?? value * x }
        let difference = evaluations[place].value - evaluations[top].value
        if routing, difference != 0 {
          for (k, score) in all.score(of: subsets[place]).enumerated() { total[k] += share(difference * score) }
        }
        for k in subsets[place] { slopes[k] += share(evaluations[place].slopes[k]) }
      }
    }
    guard gating else { return total.map(\.value) }
    for (k, value) in problem.distribution.jacobianProduct(slopes.map(\.value)).enumerated() { total[k] += value }
    return total.map(\.value)
  }
}

extension RoutedProblem {
  /// `L(θ) = Σ_i π_i F_i`, the expected loss of a single draw.
  public func expectedLoss() throws(Unavailable) -> Double {
    let values = try values()
    guard distribution.roots != nil else { return dot(distribution.probabilities, values) }
    var sum = CompensatedSum()
    for i in distribution.support { sum += distribution.share(i, of: values[i]) }
    return sum.value
  }
}
