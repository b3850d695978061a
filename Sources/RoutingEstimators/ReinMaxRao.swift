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

  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> Sampler {
    let backward = try GumbelBackward(problem: problem, temperature: temperature)
    return Sampler(
      logits: problem.problem.logits, logProbabilities: problem.logProbabilities(), draws: conditionalSamples,
      backward: backward, fixed: backward.fixedParts())
  }

  /// Given D = i a sample is `2 (1/τ) J(p) u_i`, between its bounds as for ``GumbelSoftmaxST`` whatever p is, and a fixed vector.
  public func bounds(on problem: RoutedProblem) throws(Unavailable) -> SampleBounds {
    let backward = try GumbelBackward(problem: problem, temperature: temperature)
    let (fixed, support) = (backward.fixedParts(), problem.distribution.support)
    var lower = [Double](repeating: 0, count: problem.experts)
    var upper = lower
    for k in support {
      (lower[k], upper[k]) = (.infinity, -.infinity)
      for i in support {
        let u = backward.gradients[i]
        var (below, above) = (0.0, 0.0)
        for l in support {
          below = max(below, u[l] - u[k])
          above = max(above, u[k] - u[l])
        }
        lower[k] = min(lower[k], fixed[i][k] - below / (2 * temperature))
        upper[k] = max(upper[k], fixed[i][k] + above / (2 * temperature))
      }
    }
    guard zip(lower, upper).allSatisfy({ ($1 - $0).isFinite }) else {
      throw Unavailable("has samples whose bounds overflow Float64")
    }
    return SampleBounds(lower: lower, upper: upper)
  }

  /// Draws samples on one problem.
  public struct Sampler: GradientSampler {
    let logits: [Double]
    let logProbabilities: [Double]
    let draws: Int
    let backward: GumbelBackward
    let fixed: [[Double]]

    public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
      let support = backward.distribution.support
      var choice = support[0]
      var highest = -Double.infinity
      for k in support {
        let perturbed = logits[k] + generator.nextGumbel()
        if perturbed > highest { (choice, highest) = (k, perturbed) }
      }
      var sample = fixed[choice]
      var distances = [Double](repeating: 0, count: logits.count)
      for _ in 0..<draws {
        let m = log(generator.nextExponential())
        for l in support where l != choice {
          // The rate of an expert that was not drawn is ½ π_l.
          let t = log(generator.nextExponential()) - (logProbabilities[l] - log(2)) - m
          distances[l] = max(t, 0) + log1p(exp(-t.magnitude))
        }
        distances[choice] = 0
        backward.add(2 / Double(draws), choice: choice, distances: distances, to: &sample)
      }
      return sample
    }
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
    gradients.indices.map { i in
      guard !gradients[i].isEmpty else { return [] }
      let euler = distribution.jacobianProduct(gradients[i])
      return zip(gatingSample(of: i), euler).map { $0 - 0.5 * $1 }
    }
  }
}
