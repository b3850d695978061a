import CStandardLibrary
import RoutingCore

/// Soft Gumbel-softmax: forward and backward at the relaxed draw, `ĝ = (1/τ) J(p) ∇f(p)` with
/// `p = softmax((θ + Γ)/τ)`.
///
/// It is the exact gradient of another loss, `E f(p)`; the bias is what that loss differs by, and vanishes
/// as τ → 0.
///
/// On a mixture the forward pass is `F(p) = G(Σ_i p_i π_i f_i)`, and the sample of the gating term, where
/// straight-through estimators have `c_D (I_D − π)`, is the derivative through the multipliers at p,
/// `J(π) [p_i G'(y)·f_i]_i`, which is the same for a one-hot p. So ĝ is the exact gradient of
/// `E G(Σ_i p_i π_i f_i)`. No expert is chosen: all are evaluated.
///
/// *Edge cases*: with one expert in the support every sample is zero. A difference over τ that overflows
/// gives p = 0.
///
/// *Source*: arXiv 1611.01144 (Jang, Gu, Poole), arXiv 1611.00712 (Maddison, Mnih, Teh).
public struct GumbelSoftmax: SamplingEstimator {
  public static let id = "gumbel-softmax"
  public static let parameters = [ParameterDeclaration("tau", .positive, standard: .number(1))]

  /// τ.
  public let temperature: Double

  /// - Precondition: `temperature` is positive and finite.
  public init(temperature: Double = 1) {
    precondition(temperature > 0 && temperature.isFinite, "a temperature is positive, got \(temperature)")
    self.temperature = temperature
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(temperature: values.number("tau"))
  }

  public var values: ParameterValues { ["tau": .number(temperature)] }

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .none, expertEvaluations: .gradientAtChoice,
      source: "arXiv 1611.01144")
  }

  /// Prepares to sample.
  ///
  /// - Throws: ``Unavailable`` where the objective or loss is tabulated: its gradient is needed
  ///   at p.
  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> Sampler {
    let distribution = problem.distribution
    switch problem.problem {
    case .categorical(let categorical):
      guard case .objective(let objective) = categorical.source else {
        throw Unavailable("needs the objective as a function, which a table is not")
      }
      return Sampler(
        temperature: temperature, logits: problem.problem.logits, distribution: distribution,
        objective: objective, directions: nil)
    case .mixture:
      let (_, loss, directions) = try problem.computableMixture()
      return Sampler(
        temperature: temperature, logits: problem.problem.logits, distribution: distribution, objective: loss,
        directions: directions)
    }
  }

  /// Draws samples on one problem.
  public struct Sampler: GradientSampler {
    let temperature: Double
    let logits: [Double]
    let distribution: RoutingDistribution
    let objective: any Objective
    /// `ω ⊙ f_i`, on a mixture.
    let directions: Matrix?

    public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
      var perturbed = [Double](repeating: 0, count: logits.count)
      for k in distribution.support { perturbed[k] = logits[k] + generator.nextGumbel() }
      return gradient(perturbed: perturbed)
    }

    /// The sample for perturbed logits `θ + Γ`, `[experts]`; looked at within the support only.
    package func gradient(perturbed: [Double]) -> [Double] {
      let support = distribution.support
      var top = support[0]
      for k in support where perturbed[k] > perturbed[top] { top = k }
      var p = [Double](repeating: 0, count: logits.count)
      var total = 0.0
      for k in support {
        p[k] = exp(-(perturbed[top] - perturbed[k]) / temperature)
        total += p[k]
      }
      for k in support { p[k] /= total }
      guard let directions else { return relaxed(p, objective.gradient(at: p), top: top) }
      let pi = distribution.probabilities
      var output = [Double](repeating: 0, count: directions.columns)
      for k in support {
        let weight = p[k] * pi[k]
        for (j, value) in directions.row(k).enumerated() { output[j] += weight * value }
      }
      let slope = objective.gradient(at: output)
      let slopes = (0..<logits.count).map { dot(slope, directions.row($0)) }
      let gating = distribution.jacobianProduct(zip(p, slopes).map { $0 * $1 })
      return zip(relaxed(p, zip(pi, slopes).map { $0 * $1 }, top: top), gating).map { $0 + $1 }
    }

    /// `(1/τ) J(p) w`.
    private func relaxed(_ p: [Double], _ w: [Double], top: Int) -> [Double] {
      centredProduct(probabilities: p, weights: w, centre: top, support: distribution.support).map {
        $0 / temperature
      }
    }
  }
}
