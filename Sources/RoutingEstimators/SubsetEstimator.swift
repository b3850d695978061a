import RoutingCore

/// An estimator that draws a subset of experts: a list where the subsets can be listed, samples elsewhere.
package protocol SubsetEstimator: FiniteOutcomeEstimator, SamplingEstimator where Sampler == SubsetSampler {
  /// How subsets are drawn.
  var law: SubsetLaw { get }
  /// What a sample is made of.
  var rule: SubsetRule { get }
}

/// What a sample is made of where a subset was drawn; on a mixture with `J(π) (s ⊙ z)` on top.
package enum SubsetRule: Sendable, Equatable {
  /// `Cov z · ∂F/∂z`, through the marginals of the conditional Bernoulli law. Sparse: `∂F/∂z_j` of experts not drawn counts as 0.
  case marginals(isSparse: Bool)
  /// `(F(S) − b) ∇log P(S)`.
  case score(baseline: Double)
}

extension SubsetEstimator {
  public var forwardLaw: ForwardLaw { .subsets(law) }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let sampler = try sampler(on: problem)
    let subsets = try sampler.subsets.subsets()
    var outcomes: [Outcome] = []
    outcomes.reserveCapacity(subsets.count)
    for (subset, evaluation) in zip(subsets, try problem.evaluations(at: subsets)) {
      let (probability, root) = sampler.subsets.probability(of: subset)
      outcomes.append(
        Outcome(
          choice: subset, probability: probability,
          multiplier: problem.kind == .mixture ? subset.map { problem.distribution.probabilities[$0] } : nil,
          gradient: .dense(sampler.gradient(of: subset, evaluation))
        ).rooted(root))
    }
    var list = OutcomeDistribution(distribution: problem.distribution, outcomes: outcomes)
    list.areSets = true
    return list
  }

  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> SubsetSampler {
    try requireDefined(on: problem)
    let subsets = try SubsetDistribution(law, of: problem)
    _ = try problem.evaluations(at: [])  // what a table cannot answer it refuses before anything is drawn
    return SubsetSampler(
      subsets: subsets, moments: rule.needsMoments ? subsets.moments : nil, rule: rule, problem: problem)
  }

  /// On linear objectives the sample is `C u`, C the covariance of the subset and u the constant `∂F/∂z`; on a mixture plus `J(π) (s ⊙ z)`, or
  /// with slopes of the experts drawn alone `(C diag(π) + J(π)) (s ⊙ z)`: linear in z, so that `μ` and C are enough.
  public func momentsInClosedForm(on problem: RoutedProblem, covariance: Bool) throws(Unavailable) -> Moments? {
    guard problem.isLinear, case .marginals(let isSparse) = rule else { return nil }
    let sampler = try sampler(on: problem)
    guard let subsets = sampler.moments else { return nil }
    let support = problem.distribution.support
    let evaluation = try problem.evaluations(at: [support])[0]
    let none = [Double](repeating: 0, count: problem.experts)
    // What each expert adds where it is drawn.
    let columns = support.map { j in
      var slopes = none
      slopes[j] = evaluation.slopes[j]
      return sampler.gradient(none, slopes: slopes, subsets, isSparse: isSparse)
    }
    return Moments(
      constant: isSparse ? none : subsets.covarianceProduct(evaluation.gradient), columns: columns,
      means: support.map { subsets.marginals[$0] }, covariances: subsets.covariance, covariance: covariance)
  }
}

extension SubsetRule {
  fileprivate var needsMoments: Bool { if case .marginals = self { true } else { false } }
}

/// Draws subsets, and makes gradients of what the objective is there.
public struct SubsetSampler: GradientSampler {
  let subsets: SubsetDistribution
  /// Of the conditional Bernoulli law, where the rule asks for them.
  let moments: IndicatorMoments?
  let rule: SubsetRule
  let problem: RoutedProblem

  /// The sample where a subset was drawn, `[experts]`.
  func gradient(of subset: [Int], _ evaluation: RoutedProblem.SubsetEvaluation) -> [Double] {
    switch rule {
    case .marginals(let isSparse):
      guard let moments else { preconditionFailure("marginals of a law that has none in closed form") }
      return gradient(evaluation.gradient, slopes: evaluation.slopes, moments, isSparse: isSparse)
    case .score(let baseline):
      let advantage = evaluation.value - baseline
      return adding(gates: evaluation.slopes, to: subsets.score(of: subset).map { advantage * $0 })
    }
  }

  /// `Cov z · ∂F/∂z + J(π) (s ⊙ z)`, `[experts]`.
  ///
  /// - Parameters:
  ///   - upstream: `∂F/∂z`; where it is sparse, `π ⊙ s ⊙ z` is taken instead.
  ///   - slopes: `s ⊙ z`.
  func gradient(_ upstream: [Double], slopes: [Double], _ moments: IndicatorMoments, isSparse: Bool) -> [Double] {
    let passed = isSparse ? slopes.indices.map { problem.distribution.share($0, of: slopes[$0]) } : upstream
    return adding(gates: slopes, to: moments.covarianceProduct(passed))
  }

  private func adding(gates slopes: [Double], to sample: [Double]) -> [Double] {
    guard problem.kind == .mixture else { return sample }
    return zip(sample, problem.distribution.jacobianProduct(slopes)).map { $0 + $1 }
  }

  public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
    let subset = subsets.sample(using: &generator)
    guard let evaluation = try? problem.evaluations(at: [subset]) else {
      preconditionFailure("a problem that was evaluated cannot be")
    }
    return gradient(of: subset, evaluation[0])
  }
}

extension RoutedProblem {
  /// Whether its objective is linear, so that slopes are the same everywhere.
  package var isLinear: Bool {
    switch problem {
    case .categorical(let categorical):
      if case .objective(let objective) = categorical.source { objective is Linear } else { false }
    case .mixture(let mixture):
      if case .loss(let loss) = mixture.source { loss is Linear } else { false }
    }
  }
}

extension Moments {
  /// The moments of `a + Σ_j z_j b_j`, from mean and covariance of z.
  fileprivate init(
    constant: [Double], columns: [[Double]], means: [Double], covariances: Matrix, covariance wanted: Bool
  ) {
    let n = constant.count
    var mean = constant.map { value in
      var sum = CompensatedSum()
      sum += value
      return sum
    }
    for (column, mu) in zip(columns, means) { for k in 0..<n { mean[k] += mu * column[k] } }
    func covariance(_ k: Int, _ l: Int) -> Double {
      var sum = CompensatedSum()
      for i in columns.indices {
        for (j, entry) in covariances.row(i).enumerated() { sum += columns[i][k] * entry * columns[j][l] }
      }
      return sum.value
    }
    var matrix = Matrix(rows: wanted ? n : 0, columns: n)
    if wanted { for k in 0..<n { for l in 0..<n { matrix[k, l] = covariance(k, l) } } }
    for k in 0..<n where wanted { matrix[k, k] = max(matrix[k, k], 0) }
    self.init(
      mean: mean.map(\.value), variance: (0..<n).map { wanted ? matrix[$0, $0] : max(covariance($0, $0), 0) },
      covariance: wanted ? matrix : nil)
  }
}
