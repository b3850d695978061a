import RoutingCore

/// An estimator that draws a subset of experts and passes `∂F/∂z` on through the subset's marginals: a list where the subsets can be
/// listed, samples elsewhere.
package protocol SubsetEstimator: FiniteOutcomeEstimator, SamplingEstimator where Sampler == SubsetSampler {
  /// How subsets are drawn.
  var law: SubsetLaw { get }
  /// Whether only the experts drawn send slopes back: `∂F/∂z_j` of the others counts as 0.
  var isSparse: Bool { get }
}

extension SubsetEstimator {
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
          gradient: .dense(sampler.gradient(evaluation.gradient, slopes: evaluation.slopes))
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
      subsets: subsets, covariance: subsets.covariance, isSparse: isSparse, problem: problem)
  }

  /// On linear objectives the sample is `C u`, C the covariance of the subset and u the constant `∂F/∂z`; on a mixture plus `J(π) (s ⊙ z)`, or
  /// with slopes of the experts drawn alone `(C diag(π) + J(π)) (s ⊙ z)`: linear in z, so that `μ` and C are enough.
  public func momentsInClosedForm(on problem: RoutedProblem, covariance: Bool) throws(Unavailable) -> Moments? {
    guard problem.isLinear else { return nil }
    let sampler = try sampler(on: problem)
    let (n, support) = (problem.experts, problem.distribution.support)
    let evaluation = try problem.evaluations(at: [support])[0]
    let none = [Double](repeating: 0, count: n)
    // Column j: what the expert j adds where it is drawn.
    var columns = [[Double]](repeating: [], count: n)
    for j in support {
      var slopes = none
      slopes[j] = evaluation.slopes[j]
      columns[j] = sampler.gradient(none, slopes: slopes)
    }
    let constant =
      isSparse ? none : sampler.subsets.covarianceProduct(sampler.covariance, evaluation.gradient)
    return Moments(
      constant: constant, columns: support.map { columns[$0] }, means: support.map { sampler.subsets.marginals[$0] },
      covariances: sampler.covariance, covariance: covariance)
  }
}

/// Draws subsets, and makes gradients of what the objective is there.
public struct SubsetSampler: GradientSampler {
  package let subsets: SubsetDistribution
  /// `Cov z` over the support.
  let covariance: Matrix
  let isSparse: Bool
  let problem: RoutedProblem

  /// `Cov z · ∂F/∂z + J(π) (s ⊙ z)`, `[experts]`.
  ///
  /// - Parameters:
  ///   - upstream: `∂F/∂z`; where it is sparse, `π ⊙ s ⊙ z` is taken instead.
  ///   - slopes: `s ⊙ z`.
  func gradient(_ upstream: [Double], slopes: [Double]) -> [Double] {
    let passed = isSparse ? slopes.indices.map { problem.distribution.share($0, of: slopes[$0]) } : upstream
    var sample = subsets.covarianceProduct(covariance, passed)
    guard problem.kind == .mixture else { return sample }
    for (k, value) in problem.distribution.jacobianProduct(slopes).enumerated() { sample[k] += value }
    return sample
  }

  public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
    let subset = subsets.sample(using: &generator)
    guard let evaluation = try? problem.evaluations(at: [subset]) else {
      preconditionFailure("a problem that was evaluated cannot be")
    }
    return gradient(evaluation[0].gradient, slopes: evaluation[0].slopes)
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
    self.init(
      mean: mean.map(\.value), variance: (0..<n).map { wanted ? matrix[$0, $0] : max(covariance($0, $0), 0) },
      covariance: wanted ? matrix : nil)
  }
}
