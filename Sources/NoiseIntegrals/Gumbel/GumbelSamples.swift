import CKernels
import CStandardLibrary
import RoutingCore
import RoutingExpectations

/// Sampled moments of straight-through Gumbel-softmax on separable objectives `f(z) = Σ_i f_i(z_i)`, in
/// Float32: the fastest sampling that we know of, for comparison with the integrals. Those who want moments
/// take ``GumbelIntegral``, those who want samples in Float64 of any estimator ``MonteCarlo``.
///
/// *Numerics*: samples are right to about 1e-6 of their size, sums of them and of their squares are Float64.
/// Uniforms are odd multiples of 2⁻³³, so no draw gives an infinity or a NaN. The bytes do not depend on the
/// number of threads; they do depend, in the last digits, on the processor's vector instructions.
package struct GumbelSamples: Sendable {
  private let logits: [Float]
  private let rate: Float
  private let chosen: [Float]
  private let others: [Float]

  /// The samples that one stream of the generator gives.
  private static let blockSize = 1 << 14

  /// Prepares to sample.
  ///
  /// - Parameters:
  ///   - logits: θ, finite.
  ///   - temperature: τ, from 1e-30 on.
  ///   - chosen: `f_i′(1)`, `[experts]`.
  ///   - others: `f_i′(0)`, `[experts]`.
  package init(logits: [Double], temperature: Double, chosen: [Double], others: [Double]) {
    precondition(
      temperature >= 1e-30 && temperature.isFinite, "a temperature from 1e-30 on, got \(temperature)")
    precondition(
      chosen.count == logits.count && others.count == logits.count, "slopes have one entry for each logit")
    let largest = logits.max() ?? 0
    let factor = 1 / (log(2) * temperature)
    // Far below the largest it does not matter how far.
    self.logits = logits.map { Float(max(($0 - largest) * factor, -1e35)) }
    rate = Float(1 / temperature)
    // A gradient's common part does not matter; taken off, a single expert gives zeros.
    let base = others.first ?? 0
    self.chosen = chosen.map { Float(($0 - base) / temperature) }
    self.others = others.map { Float(($0 - base) / temperature) }
  }

  /// Sample mean and sample variance, the mean of squares less the square of the mean.
  package func moments(samples: Int, seed: UInt64, threads: Int) -> Moments {
    let n = logits.count
    var sums = [Double](repeating: 0, count: n)
    var squares = sums
    let blocks = SampleBlocks(size: Self.blockSize, samples: samples, threads: threads)
    _ = blocks.run { block, count in
      drawn(count, seed: seed, stream: UInt64(block))
    } add: { part in
      for k in 0..<n {
        sums[k] += part[k]
        squares[k] += part[n + k]
      }
    }
    let mean = sums.map { $0 / Double(samples) }
    return Moments(
      mean: mean, variance: zip(squares, mean).map { max($0 / Double(samples) - $1 * $1, 0) })
  }

  /// The sums of q, then those of q², over one stream's samples.
  private func drawn(_ count: Int, seed: UInt64, stream: UInt64) -> [Double] {
    let n = logits.count
    var sums = [Double](repeating: 0, count: 2 * n)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: RG_GUMBEL_TILE * (n + 1) + 16) { tile in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: 16 * n) { lanes in
        sums.withUnsafeMutableBufferPointer { sums in
          guard let first = sums.baseAddress else { return }
          rg_gumbel_sums(
            n, logits, rate, chosen, others, seed, stream, count, tile.baseAddress, lanes.baseAddress, first,
            first + n)
        }
      }
    }
    return sums
  }
}
