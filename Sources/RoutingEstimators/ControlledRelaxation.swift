import CStandardLibrary
import RoutingCore

/// REINFORCE with a control variate at relaxed draws, `ĝ = (F_D − η c(z̃)) s + η ∇c(z) − η ∇c(z̃)`, `s = I_D − π`, on a mixture plus the gating sample.
///
/// `z = θ + Γ` with Γ iid Gumbel and D its argmax, z̃ drawn from z's law given D; c is a function of `p = softmax(z/τ)`. Given D both are times
/// of a race (``GumbelRao``): with `E_l/E_D = 1 + r_l`, `r_l = V_l/(π_l V_D)`, `V ~ Exp(1)`,
/// ```
/// p_l ∝ (1 + r_l)^{−1/τ},          a = (1/τ) J(p) ∇c(p),
/// ∇c(z) = a,                       z_l = θ_l + Γ_l,
/// ∇c(z̃) = q ⊙ a − π (q·a),         z̃_l = −log(V_l/π_l + V_D) for l ≠ D, z̃_D = −log V_D,   q_l = r_l/(1 + r_l), q_D = 0,
/// ```
/// because `∂z̃_l/∂ log π_l = q_l` and `∂ log π_l/∂θ_j = [l = j] − π_j`. As `∇ Σ_D π_D E[c(z)|D] = E[∇c(z)]`, what is added to REINFORCE has no mean:
/// unbiased for every function, whatever c, η and τ are.
///
/// Coupled, z̃ is z itself: the noise V that gives z̃ = z is taken, and `(1 − q) ⊙ a + π (q·a)` is what is left of the derivatives. The mean does not see
/// the coupling; which variance is less depends on f and τ.
///
/// *Numerics*: `log(1 + r)` is what is kept of a draw; `1 − q = 1/(1 + r)`.
package protocol ControlledRelaxation: SamplingEstimator where Sampler == ControlledSampler {
  /// The estimator on a problem.
  func controlled(on problem: RoutedProblem) throws(Unavailable) -> ControlledSampler
}

extension ControlledRelaxation {
  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> ControlledSampler {
    try requireDefined(on: problem)
    return try controlled(on: problem)
  }
}

/// Draws samples of a ``ControlledRelaxation`` on one problem.
public struct ControlledSampler: GradientSampler {
  /// The most experts that may be drawn for moments to be integrals; beyond that they are sampled.
  package static let mostIntegrated = 3

  package let distribution: RoutingDistribution
  /// `log π`.
  package let logProbabilities: [Double]
  let logits: [Double]
  /// `F_i + c_i`, the loss at each one-hot and, on a mixture, the gating sample's factor.
  package let weights: [Double]
  /// c.
  let control: RelaxedFunction
  /// η.
  package let scale: Double
  /// τ.
  package let temperature: Double
  /// Whether z̃ is z.
  package let isCoupled: Bool

  /// Prepares to sample.
  ///
  /// - Throws: ``Unavailable`` where values or, on a mixture, slopes at the one-hots are not known.
  package init(
    _ problem: RoutedProblem, control: RelaxedFunction, scale: Double, temperature: Double, isCoupled: Bool
  ) throws(Unavailable) {
    distribution = problem.distribution
    logProbabilities = problem.logProbabilities()
    logits = problem.problem.logits
    weights = zip(try problem.values(), try problem.gatingWeights()).map { $0 + $1 }
    self.control = control
    self.scale = scale
    self.temperature = temperature
    self.isCoupled = isCoupled
  }

  /// What a relaxed draw given D contributes.
  package struct Parts: Sendable {
    /// `c(p)`.
    package var level: Double
    /// `∇c(z)`, were it z.
    package var free: [Double]
    /// `∇c(z̃)`, were it z̃.
    package var conditional: [Double]
    /// `∇c(z) − ∇c(z̃)`, were it both.
    package var coupled: [Double]
  }

  /// The parts of one relaxed draw.
  ///
  /// - Parameters:
  ///   - choice: D.
  ///   - distances: `log(1 + r)`, `[experts]`; looked at within the support only, 0 at D.
  package func parts(of choice: Int, distances: [Double]) -> Parts {
    let support = distribution.support
    var p = [Double](repeating: 0, count: distances.count)
    var total = 0.0
    for k in support {
      p[k] = exp(-distances[k] / temperature)
      total += p[k]
    }
    for k in support { p[k] /= total }
    let (value, gradient) = control.evaluate(p)
    let a = centredProduct(probabilities: p, weights: gradient, centre: choice, support: support).map {
      $0 / temperature
    }
    var drift = CompensatedSum()
    for k in support where k != choice { drift += -expm1(-distances[k]) * a[k] }
    var conditional = [Double](repeating: 0, count: p.count)
    var coupled = conditional
    for k in support {
      let shared = distribution.share(k, of: drift.value)
      conditional[k] = (k == choice ? 0 : -expm1(-distances[k]) * a[k]) - shared
      coupled[k] = (k == choice ? a[k] : exp(-distances[k]) * a[k]) + shared
    }
    return Parts(level: value, free: a, conditional: conditional, coupled: coupled)
  }

  /// `x (I_D − π)`.
  package func score(_ choice: Int, times x: Double) -> [Double] {
    var score = [Double](repeating: 0, count: distribution.experts)
    for k in distribution.support {
      score[k] = k == choice ? distribution.complementShare(k, of: x) : -distribution.share(k, of: x)
    }
    return score
  }

  /// `(F_D + c_D) s`, what is there without the control variate.
  package func uncontrolled(_ choice: Int) -> [Double] { score(choice, times: weights[choice]) }

  /// What z̃ brings over η: `−c(z̃) s − ∇c(z̃)`, and of a coupled pair ∇c(z) as well; z then has nothing left.
  package func conditionalPart(of choice: Int, distances: [Double]) -> (conditional: [Double], free: [Double]) {
    let parts = parts(of: choice, distances: distances)
    let levels = score(choice, times: parts.level)
    return (zip(isCoupled ? parts.coupled : parts.conditional.map { -$0 }, levels).map { $0 - $1 }, parts.free)
  }

  /// A draw of D with z's distances, and z̃'s.
  package func draw(
    using generator: inout some RandomNumberGenerator
  ) -> (choice: Int, distances: [Double], conditional: [Double]) {
    let support = distribution.support
    var perturbed = [Double](repeating: 0, count: logits.count)
    var choice = support[0]
    for k in support {
      perturbed[k] = logits[k] + generator.nextGumbel()
      if perturbed[k] > perturbed[choice] { choice = k }
    }
    let distances = perturbed.map { perturbed[choice] - $0 }
    guard !isCoupled else { return (choice, distances, distances) }
    return (choice, distances, self.distances(given: choice, using: &generator))
  }

  /// The distances of a relaxed draw given D.
  func distances(given choice: Int, using generator: inout some RandomNumberGenerator) -> [Double] {
    var distances = [Double](repeating: 0, count: logits.count)
    let m = log(generator.nextExponential())
    for l in distribution.support where l != choice {
      distances[l] = softplus(log(generator.nextExponential()) - logProbabilities[l] - m)
    }
    return distances
  }

  public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
    let (choice, distances, conditional) = draw(using: &generator)
    var sample = uncontrolled(choice)
    let (own, _) = conditionalPart(of: choice, distances: conditional)
    for k in distribution.support { sample[k] += scale * own[k] }
    guard !isCoupled else { return sample }
    let free = parts(of: choice, distances: distances).free
    for k in distribution.support { sample[k] += scale * free[k] }
    return sample
  }
}

/// A function of relaxed draws p.
package struct RelaxedFunction: Sendable {
  private let objective: any Objective
  /// `ω ⊙ f_i` on a mixture, where the function is `F(p) = G(Σ_i p_i π_i f_i)`.
  private let mixture: (directions: Matrix, distribution: RoutingDistribution)?

  /// `w·p`.
  ///
  /// - Precondition: the weights are finite.
  package init(weights: [Double]) {
    do { objective = try Linear(coefficients: weights) } catch { preconditionFailure("weights that are not finite") }
    mixture = nil
  }

  /// The problem's own f or F.
  ///
  /// - Throws: ``Unavailable`` where it is tabulated: it is needed at p.
  package init(_ problem: RoutedProblem) throws(Unavailable) {
    switch problem.problem {
    case .categorical(let categorical):
      guard case .objective(let own) = categorical.source else {
        throw Unavailable("needs the objective as a function, which a table is not")
      }
      objective = own
      mixture = nil
    case .mixture:
      let (_, loss, directions) = try problem.computableMixture()
      objective = loss
      mixture = (directions, problem.distribution)
    }
  }

  /// The value at p, and the gradient by p, `[experts]`.
  func evaluate(_ p: [Double]) -> (value: Double, gradient: [Double]) {
    guard let (directions, distribution) = mixture else { return (objective.value(at: p), objective.gradient(at: p)) }
    var output = [Double](repeating: 0, count: directions.columns)
    for k in distribution.support {
      for (j, value) in directions.row(k).enumerated() { output[j] += distribution.share(k, of: p[k] * value) }
    }
    let slope = objective.gradient(at: output)
    return (
      objective.value(at: output),
      p.indices.map { distribution.share($0, of: dot(slope, directions.row($0))) }
    )
  }
}
