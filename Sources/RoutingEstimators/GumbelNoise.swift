import CStandardLibrary
import RoutingCore

/// Straight-through Gumbel-softmax, averaged over K draws of the noise given the choice.
///
/// With Γ iid Gumbel, `D = argmax(θ + Γ)` and `p = softmax((θ + Γ)/τ)` a sample is `(1/τ) J(p) ∂F/∂D(I_D)`; on a mixture,
/// where `F(D) = G(Σ_i D_i π_i f_i)`, the gating sample `c_D (I_D − π)` comes on top, so that the target is the expected loss.
/// What is known about its moments (`RoutingExpectations`) holds for every conforming type.
package protocol StraightThroughGumbel: SamplingEstimator {
  /// τ.
  var temperature: Double { get }
  /// K; 1 for the plain estimator.
  var conditionalSamples: Int { get }
}

extension RandomNumberGenerator {
  /// A draw from the exponential distribution of rate 1: positive and finite, from 1e-16 to 37, whatever the generator
  /// gives.
  public mutating func nextExponential() -> Double { -log(nextOpenUnit()) }

  /// A draw from the Gumbel distribution: finite, from −3.6 to 37.
  public mutating func nextGumbel() -> Double { -log(nextExponential()) }
}

extension RoutedProblem {
  /// `log π`, `[experts]`; where π underflows its logarithm does not. −∞ outside the support.
  ///
  /// *Numerics*: `log π_* = log1p(−(1 − π_*))` at the argmax, the others lie `θ_* − θ_i` below it. The absolute error is an ulp
  /// of the difference. A difference beyond Float64 counts as its largest number.
  public func logProbabilities() -> [Double] {
    var logarithms = [Double](repeating: -.infinity, count: experts)
    let top = distribution.argmax
    let largest = log1p(-distribution.complements[top])
    for i in distribution.support {
      logarithms[i] = max((problem.logits[i] - problem.logits[top]) + largest, -1e300)
    }
    return logarithms
  }
}

/// The backward pass of straight-through Gumbel-softmax, prepared for one problem.
struct GumbelBackward: Sendable {
  let temperature: Double
  let distribution: RoutingDistribution
  /// `∂F/∂D` at `I_i`, for i in the support.
  let gradients: [[Double]]
  /// c.
  let gating: [Double]

  init(problem: RoutedProblem, temperature: Double) throws(Unavailable) {
    self.temperature = temperature
    distribution = problem.distribution
    gating = try problem.gatingWeights()
    var gradients = [[Double]](repeating: [], count: problem.experts)
    for i in problem.distribution.support { gradients[i] = try problem.choiceGradient(at: i) }
    self.gradients = gradients
  }

  /// Adds `weight (1/τ) J(p) u_D` to a sample, p being the softmax of `−distances/τ`.
  ///
  /// *Numerics*: p is largest at D, where J(p) u is centred; a distance over τ that overflows gives p = 0.
  ///
  /// - Parameters:
  ///   - choice: D.
  ///   - distances: how far each perturbed logit lies below that of D; looked at within the support only.
  func add(_ weight: Double, choice: Int, distances: [Double], to sample: inout [Double]) {
    var p = [Double](repeating: 0, count: distances.count)
    var total = 0.0
    for k in distribution.support {
      p[k] = exp(-distances[k] / temperature)
      total += p[k]
    }
    for k in distribution.support { p[k] /= total }
    let product = centredProduct(
      probabilities: p, weights: gradients[choice], centre: choice, support: distribution.support)
    for k in distribution.support { sample[k] += weight * product[k] / temperature }
  }

  /// `c_i (I_i − π)` for each i of the support, `[experts][experts]`; empty for the others.
  var gatingSamples: [[Double]] {
    gradients.indices.map { gradients[$0].isEmpty ? [] : gatingSample(of: $0) }
  }

  /// `c_D (I_D − π)`.
  func gatingSample(of choice: Int) -> [Double] {
    var sample = [Double](repeating: 0, count: gradients.count)
    guard gating[choice] != 0 else { return sample }
    for k in distribution.support {
      sample[k] =
        gating[choice] * (k == choice ? distribution.complements[k] : -distribution.probabilities[k])
    }
    return sample
  }
}
