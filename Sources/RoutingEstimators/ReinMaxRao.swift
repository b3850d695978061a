import CStandardLibrary
import RoutingCore

/// ReinMax-Rao: ReinMax whose first Jacobian is that of Gumbel-Rao at `θ_D = log ½(π + I_D)`,
/// `ĝ = (2/K) Σ_k (1/τ) J(softmax((θ_D + Γ_k)/τ)) ∇f(I_D) − ½ J(π) ∇f(I_D)`, the noise Γ_k drawn given that D wins at θ_D.
///
/// The draw D ~ π is the only one that the forward pass sees; the K draws of the noise share it and one ∇f. Its mean is not
/// ReinMax's, because `E[J(softmax((θ_D + Γ)/τ))/τ]` is not `J(½(π + I_D))`: what is bought with the bias is variance. On a mixture it acts
/// on `F(D) = G(Σ_i D_i π_i f_i)` and adds the gating sample.
///
/// Conditional draws are those of ``GumbelRao`` with the rates `½(π + I_D)`.
///
/// *Source*: arXiv 2603.08257 (Wang, Bui), as two implementations have it: 2 J(p) at θ_D, the second term at θ. The printed equation 17
/// was not read; one of the implementations says that it has the second term at θ_D, too, by mistake.
public struct ReinMaxRao: SamplingEstimator {
  public static let id = "reinmax-rao"
  public static let parameters = GumbelRao.parameters

  /// τ.
  public let temperature: Double
  /// K.
  public let conditionalSamples: Int

  /// - Precondition: `temperature` is positive and finite, and `conditionalSamples` at least 1.
  public init(temperature: Double = 1, conditionalSamples: Int = 10) {
    precondition(temperature > 0 && temperature.isFinite, "a temperature is positive, got \(temperature)")
    precondition(conditionalSamples >= 1, "it averages at least one draw, got \(conditionalSamples)")
    self.temperature = temperature
    self.conditionalSamples = conditionalSamples
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(temperature: values.number("tau"), conditionalSamples: values.integer("K"))
  }

  public var values: ParameterValues { ["tau": .number(temperature), "K": .integer(conditionalSamples)] }

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .none, expertEvaluations: .gradientAtChoice,
      source: "arXiv 2603.08257")
  }

  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> GumbelRao.Sampler {
    let backward = try GumbelBackward(problem: problem, temperature: temperature)
    // The rate of an expert that was not drawn is ½ π_i.
    let logRates = problem.logProbabilities().map { $0 - log(2) }
    return GumbelRao.Sampler(
      logits: problem.problem.logits, logRates: logRates, draws: conditionalSamples, weight: 2, backward: backward,
      fixed: backward.fixedParts())
  }

  public func bounds(on problem: RoutedProblem) throws(Unavailable) -> SampleBounds {
    let backward = try GumbelBackward(problem: problem, temperature: temperature)
    return try SampleBounds(of: backward, weight: 2, fixed: backward.fixedParts())
  }
}

extension ReinMaxRao {
  /// What a sample has beside its noise, for each expert of the support, `[experts][experts]`: `−½ J(π) ∇f(I_i) + c_i (I_i − π)`.
  ///
  /// - Throws: `Unavailable` as ``sampler(on:)``.
  package static func fixedParts(on problem: RoutedProblem) throws(Unavailable) -> [[Double]] {
    try GumbelBackward(problem: problem, temperature: 1).fixedParts()
  }
}

extension GumbelBackward {
  fileprivate func fixedParts() -> [[Double]] {
    zip(gatingSamples, gradients).map { gating, gradient in
      gating.isEmpty ? [] : zip(gating, distribution.jacobianProduct(gradient)).map { $0 - 0.5 * $1 }
    }
  }
}
