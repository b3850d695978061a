import CStandardLibrary
import LayerTensors
import MixtureOfExperts
import RoutingCore

/// Adam over a model's parameters, with clipping: `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
/// `θ ← θ − η (m/(1−β₁ᵗ))/(√(v/(1−β₂ᵗ)) + ε)`, g times `min(1, bound/‖g‖)`.
///
/// *Source*: arXiv 1412.6980; clipping by the norm of all gradients together, as fairseq and PyTorch do it.
package final class AdamOptimiser {
  /// β₁, β₂ and ε.
  package let beta1, beta2, epsilon: Double
  /// The largest norm that all gradients together keep; nil: any.
  package let clip: Double?
  /// The number of updates made.
  package private(set) var step = 0
  /// The moments, for checkpoints: in the order of the parameters, first and second of each.
  package let moments: [(first: Tensor<Float>, second: Tensor<Float>)]
  private let parameters: [TrainableParameter]
  private let parts: [Part]

  /// Some entries of one parameter: what a thread updates at a time.
  private struct Part {
    var parameter, first, count: Int
  }

  private static let partSize = 1 << 16

  /// - Precondition: 0 ≤ β < 1.
  package init(
    _ parameters: [TrainableParameter], beta1: Double = 0.9, beta2: Double = 0.98, epsilon: Double = 1e-8,
    clip: Double? = nil
  ) {
    precondition(
      (0..<1).contains(beta1) && (0..<1).contains(beta2), "β₁ and β₂ lie in [0, 1), got \(beta1) and \(beta2)")
    self.parameters = parameters
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.clip = clip
    moments = parameters.map {
      (Tensor(rows: $0.value.rows, columns: $0.value.columns), Tensor(rows: $0.value.rows, columns: $0.value.columns))
    }
    parts = parameters.indices.flatMap { k in
      stride(from: 0, to: parameters[k].value.count, by: Self.partSize).map {
        Part(parameter: k, first: $0, count: min(Self.partSize, parameters[k].value.count - $0))
      }
    }
  }

  /// Goes on after so many updates; ``moments`` have been filled by the caller.
  package func resume(after step: Int) { self.step = step }

  /// The norm of all gradients together, summed in Float64 by parts that do not depend on the number of threads.
  package func gradientNorm(threads: Int) -> Double {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: max(parts.count, 1)) { sums in
      nonisolated(unsafe) let sums = sums
      concurrently(parts.count, threads: threads) { k in
        let part = parts[k]
        sums[k] = Float.squareSum(parameters[part.parameter].gradient.elements + part.first, count: part.count)
      }
      return (0..<parts.count).reduce(0) { $0 + sums[$1] }.squareRoot()
    }
  }

  /// One update with learning rate η.
  ///
  /// - Returns: the norm of the gradients before clipping, if they are clipped.
  @discardableResult
  package func update(rate: Double, threads: Int = 1) -> Double? {
    step += 1
    let norm = clip.map { _ in gradientNorm(threads: threads) }
    let scale = clip.flatMap { bound in norm.map { $0 > bound ? bound / $0 : 1 } } ?? 1
    let correction1 = 1 - pow(beta1, Double(step))
    let root = 1 / (1 - pow(beta2, Double(step))).squareRoot()
    concurrently(parts.count, threads: threads) { k in
      let part = parts[k]
      let parameter = parameters[part.parameter]
      let rule = AdamRule<Float>(
        beta1: Float(beta1), beta2: Float(beta2), size: Float(rate * parameter.rate / correction1), root: Float(root),
        epsilon: Float(epsilon), gradientScale: Float(scale))
      let (first, second) = moments[part.parameter]
      Float.adam(
        parameter.value.elements + part.first, gradient: parameter.gradient.elements + part.first,
        first: first.elements + part.first, second: second.elements + part.first, count: part.count, rule)
    }
    return norm
  }
}
