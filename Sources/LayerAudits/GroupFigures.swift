/// The figures of an estimator for one group of parameters.
public struct GroupFigures: Sendable, Equatable {
  /// `‖∇‖`; nil where the target is not defined for the group, and so is everything that needs it.
  public var targetNorm: Double?
  /// `‖E ĝ‖`.
  public var meanNorm: Double
  /// `‖E ĝ − ∇‖`.
  public var biasNorm: Double?
  /// `‖E ĝ − ∇‖/‖∇‖`.
  public var relativeBias: Double?
  /// The cosine of `E ĝ` and `∇`.
  public var cosine: Double?
  /// `tr Cov ĝ`.
  public var totalVariance: Double
  /// `√(tr Cov ĝ)/‖∇‖`.
  public var relativeStandardDeviation: Double?

  /// Figures from squared norms; a ratio to zero is nil.
  init(_ sums: GroupSums, totalVariance: Double) {
    meanNorm = sums.mean.squareRoot()
    self.totalVariance = totalVariance
    guard sums.hasTarget else { return }
    let norm = sums.target.squareRoot()
    targetNorm = norm
    biasNorm = sums.bias.squareRoot()
    guard norm > 0 else { return }
    relativeBias = sums.bias.squareRoot() / norm
    relativeStandardDeviation = totalVariance.squareRoot() / norm
    if meanNorm > 0 { cosine = min(max(sums.product / (norm * meanNorm), -1), 1) }
  }

  /// Whether every figure that there is is a number.
  var isFinite: Bool {
    [targetNorm, meanNorm, biasNorm, relativeBias, cosine, totalVariance, relativeStandardDeviation].allSatisfy {
      $0?.isFinite ?? true
    }
  }
}
