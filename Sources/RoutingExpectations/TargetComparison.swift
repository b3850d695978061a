import RoutingCore

/// A mean and a total variance held against a target's gradient: the definitions of ``Assessment``, whosever moments these are.
package struct TargetComparison: Sendable, Equatable {
  /// `E ĝ − ∇`.
  package var bias: [Double]?
  /// `‖bias‖`; of samples with the noise `tr Cov/n` taken off its square.
  package var biasNorm: Double?
  /// `‖bias‖/‖∇‖`.
  package var relativeBias: Double?
  /// The cosine of `E ĝ` and `∇`.
  package var cosine: Double?
  /// `s* = ⟨E ĝ, ∇⟩/‖E ĝ‖²`.
  package var bestScale: Double?
  /// `‖s* E ĝ − ∇‖/‖∇‖`.
  package var scaledRelativeBias: Double?
  /// `√(tr Cov)/‖∇‖`.
  package var relativeStandardDeviation: Double?
  /// `‖bias‖² + tr Cov`.
  package var meanSquaredError: Double?
  /// `‖E ĝ‖²/tr Cov`.
  package var signalToNoise: Double?

  /// Compares.
  ///
  /// *Edge cases*: without a target, all but ``signalToNoise`` is nil; a ratio with a zero denominator is, too.
  ///
  /// - Parameters:
  ///   - moments: mean and variance.
  ///   - target: ∇, or nil where it is not defined.
  ///   - samples: of how many samples these are the moments; nil if they are exact.
  package init(of moments: Moments, with target: [Double]?, samples: Int?) {
    let meanNorm = norm(moments.mean)
    let deviation = moments.totalVariance.squareRoot()
    signalToNoise = Self.ratio(meanNorm, deviation).map { $0 * $0 }
    guard let target else { return }
    let targetNorm = norm(target)
    let difference = zip(moments.mean, target).map { $0 - $1 }
    var biasNorm = norm(difference)
    if let samples {
      let noise = moments.totalVariance / Double(samples)
      biasNorm = max(0, biasNorm * biasNorm - noise).squareRoot()
    }
    bias = difference
    self.biasNorm = biasNorm
    relativeBias = Self.ratio(biasNorm, targetNorm)
    relativeStandardDeviation = Self.ratio(deviation, targetNorm)
    meanSquaredError = biasNorm * biasNorm + moments.totalVariance
    if meanNorm > 0, targetNorm > 0 {
      let alignment = min(
        max(dot(moments.mean.map { $0 / meanNorm }, target.map { $0 / targetNorm }), -1), 1)
      cosine = alignment
      bestScale = alignment * (targetNorm / meanNorm)
      let rest = zip(moments.mean, target).map { alignment * ($0 / meanNorm) - $1 / targetNorm }
      scaledRelativeBias = norm(rest)
    }
  }

  /// Whether every ratio that is defined is finite.
  package var isFinite: Bool {
    [
      relativeBias, relativeStandardDeviation, meanSquaredError, bestScale, scaledRelativeBias, signalToNoise,
    ].allSatisfy { $0?.isFinite ?? true }
  }

  private static func ratio(_ a: Double, _ b: Double) -> Double? { b > 0 ? a / b : nil }
}
