internal import CKernels
import LayerTensors
import MixtureOfExperts

/// A number that Transformers compute with; like ``LayerScalar``, its requirements are whole passes over memory, row-major.
package protocol TransformerScalar: LayerScalar {
  /// `y = (x − mean)·inverse·gain + bias` of every row, inverse = 1/√(variance + 1e-5), as PyTorch's LayerNorm.
  static func normalise(
    _ x: UnsafePointer<Self>, rows: Int, width: Int, gain: UnsafePointer<Self>, bias: UnsafePointer<Self>,
    to y: UnsafeMutablePointer<Self>, means: UnsafeMutablePointer<Self>, inverses: UnsafeMutablePointer<Self>)
  /// Adds `∂L/∂x` to dx, and the gradients by gain and bias to their sums.
  static func normaliseBackward(
    _ dy: UnsafePointer<Self>, x: UnsafePointer<Self>, rows: Int, width: Int, gain: UnsafePointer<Self>,
    means: UnsafePointer<Self>, inverses: UnsafePointer<Self>, addTo dx: UnsafeMutablePointer<Self>,
    gainSum: UnsafeMutablePointer<Self>, biasSum: UnsafeMutablePointer<Self>)
  /// `y = x + mask ⊙ (y + bias)`.
  static func addResidual(
    _ x: UnsafePointer<Self>, bias: UnsafePointer<Self>?, mask: UnsafePointer<Self>?, rows: Int, columns: Int,
    to y: UnsafeMutablePointer<Self>)
  /// `y = x ⊙ mask`; without a mask `y = x`.
  static func multiply(
    _ x: UnsafePointer<Self>, mask: UnsafePointer<Self>?, count: Int, to y: UnsafeMutablePointer<Self>)
  /// `p = softmax(scale·p)` of every row; row r sees `causal + r + 1` columns.
  static func attentionSoftmax(
    _ p: UnsafeMutablePointer<Self>, rows: Int, columns: Int, stride: Int, causal: Int?, scale: Self)
  /// `dp = scale·p ⊙ (dp − Σ p dp)` of every row.
  static func attentionSoftmaxBackward(
    _ dp: UnsafeMutablePointer<Self>, stride dpStride: Int, p: UnsafePointer<Self>, rows: Int, columns: Int,
    stride: Int, causal: Int?, scale: Self)
  /// Cross-entropy with smoothed labels, `(1−s)(−log p_label) + s·mean_k(−log p_k)`; the logits give way to `factor` times the
  /// gradient. `likelihoods` are −log p_label.
  static func crossEntropy(
    _ logits: UnsafeMutablePointer<Self>, rows: Int, classes: Int, labels: UnsafePointer<Int32>, smoothing: Self,
    factor: Self, losses: UnsafeMutablePointer<Double>, likelihoods: UnsafeMutablePointer<Double>)
  /// One step of Adam.
  static func adam(
    _ p: UnsafeMutablePointer<Self>, gradient g: UnsafePointer<Self>, first m: UnsafeMutablePointer<Self>,
    second v: UnsafeMutablePointer<Self>, count: Int, _ rule: AdamRule<Self>)
  /// `Σ x²`, in Float64.
  static func squareSum(_ x: UnsafePointer<Self>, count: Int) -> Double
  /// 0 with probability dropped/2¹⁶, else `kept`: a function of seed and stream alone.
  static func dropoutMask(
    _ mask: UnsafeMutablePointer<Self>, count: Int, seed: UInt64, stream: UInt64, dropped: Int, kept: Self)
}

/// The numbers of one step of Adam: `m ← β₁m + (1−β₁)cg`, `v ← β₂v + (1−β₂)(cg)²`, `θ ← θ − size·m/(root·√v + ε)`.
package struct AdamRule<Scalar: LayerScalar> {
  var beta1, beta2, size, root, epsilon: Scalar
  /// c: what clipping multiplies gradients by.
  var gradientScale: Scalar
}

// The two conformances differ in nothing but the suffix of the C functions.

extension Float: TransformerScalar {
  package static func normalise(
    _ x: UnsafePointer<Float>, rows: Int, width: Int, gain: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    to y: UnsafeMutablePointer<Float>, means: UnsafeMutablePointer<Float>, inverses: UnsafeMutablePointer<Float>
  ) { rg_norm_f(rows, width, x, gain, bias, y, means, inverses) }

  package static func normaliseBackward(
    _ dy: UnsafePointer<Float>, x: UnsafePointer<Float>, rows: Int, width: Int, gain: UnsafePointer<Float>,
    means: UnsafePointer<Float>, inverses: UnsafePointer<Float>, addTo dx: UnsafeMutablePointer<Float>,
    gainSum: UnsafeMutablePointer<Float>, biasSum: UnsafeMutablePointer<Float>
  ) { rg_norm_backward_f(rows, width, dy, x, means, inverses, gain, dx, gainSum, biasSum) }

  package static func addResidual(
    _ x: UnsafePointer<Float>, bias: UnsafePointer<Float>?, mask: UnsafePointer<Float>?, rows: Int, columns: Int,
    to y: UnsafeMutablePointer<Float>
  ) { rg_residual_f(rows, columns, bias, x, mask, y) }

  package static func multiply(
    _ x: UnsafePointer<Float>, mask: UnsafePointer<Float>?, count: Int, to y: UnsafeMutablePointer<Float>
  ) { rg_multiply_f(count, x, mask, y) }

  package static func attentionSoftmax(
    _ p: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int, causal: Int?, scale: Float
  ) { rg_attention_softmax_f(rows, columns, stride, causal ?? -1, scale, p) }

  package static func attentionSoftmaxBackward(
    _ dp: UnsafeMutablePointer<Float>, stride dpStride: Int, p: UnsafePointer<Float>, rows: Int, columns: Int,
    stride: Int, causal: Int?, scale: Float
  ) { rg_attention_softmax_backward_f(rows, columns, stride, causal ?? -1, scale, p, dpStride, dp) }

  package static func crossEntropy(
    _ logits: UnsafeMutablePointer<Float>, rows: Int, classes: Int, labels: UnsafePointer<Int32>, smoothing: Float,
    factor: Float, losses: UnsafeMutablePointer<Double>, likelihoods: UnsafeMutablePointer<Double>
  ) { rg_cross_entropy_f(rows, classes, labels, smoothing, factor, logits, losses, likelihoods) }

  package static func adam(
    _ p: UnsafeMutablePointer<Float>, gradient g: UnsafePointer<Float>, first m: UnsafeMutablePointer<Float>,
    second v: UnsafeMutablePointer<Float>, count: Int, _ rule: AdamRule<Float>
  ) {
    rg_adam_f(
      count, rule.beta1, rule.beta2, rule.size, rule.root, rule.epsilon, rule.gradientScale, g, p, m, v)
  }

  package static func squareSum(_ x: UnsafePointer<Float>, count: Int) -> Double { rg_square_sum_f(count, x) }

  package static func dropoutMask(
    _ mask: UnsafeMutablePointer<Float>, count: Int, seed: UInt64, stream: UInt64, dropped: Int, kept: Float
  ) { rg_dropout_mask_f(count, seed, stream, UInt32(dropped), kept, mask) }
}

extension Double: TransformerScalar {
  package static func normalise(
    _ x: UnsafePointer<Double>, rows: Int, width: Int, gain: UnsafePointer<Double>, bias: UnsafePointer<Double>,
    to y: UnsafeMutablePointer<Double>, means: UnsafeMutablePointer<Double>, inverses: UnsafeMutablePointer<Double>
  ) { rg_norm_d(rows, width, x, gain, bias, y, means, inverses) }

  package static func normaliseBackward(
    _ dy: UnsafePointer<Double>, x: UnsafePointer<Double>, rows: Int, width: Int, gain: UnsafePointer<Double>,
    means: UnsafePointer<Double>, inverses: UnsafePointer<Double>, addTo dx: UnsafeMutablePointer<Double>,
    gainSum: UnsafeMutablePointer<Double>, biasSum: UnsafeMutablePointer<Double>
  ) { rg_norm_backward_d(rows, width, dy, x, means, inverses, gain, dx, gainSum, biasSum) }

  package static func addResidual(
    _ x: UnsafePointer<Double>, bias: UnsafePointer<Double>?, mask: UnsafePointer<Double>?, rows: Int, columns: Int,
    to y: UnsafeMutablePointer<Double>
  ) { rg_residual_d(rows, columns, bias, x, mask, y) }

  package static func multiply(
    _ x: UnsafePointer<Double>, mask: UnsafePointer<Double>?, count: Int, to y: UnsafeMutablePointer<Double>
  ) { rg_multiply_d(count, x, mask, y) }

  package static func attentionSoftmax(
    _ p: UnsafeMutablePointer<Double>, rows: Int, columns: Int, stride: Int, causal: Int?, scale: Double
  ) { rg_attention_softmax_d(rows, columns, stride, causal ?? -1, scale, p) }

  package static func attentionSoftmaxBackward(
    _ dp: UnsafeMutablePointer<Double>, stride dpStride: Int, p: UnsafePointer<Double>, rows: Int, columns: Int,
    stride: Int, causal: Int?, scale: Double
  ) { rg_attention_softmax_backward_d(rows, columns, stride, causal ?? -1, scale, p, dpStride, dp) }

  package static func crossEntropy(
    _ logits: UnsafeMutablePointer<Double>, rows: Int, classes: Int, labels: UnsafePointer<Int32>, smoothing: Double,
    factor: Double, losses: UnsafeMutablePointer<Double>, likelihoods: UnsafeMutablePointer<Double>
  ) { rg_cross_entropy_d(rows, classes, labels, smoothing, factor, logits, losses, likelihoods) }

  package static func adam(
    _ p: UnsafeMutablePointer<Double>, gradient g: UnsafePointer<Double>, first m: UnsafeMutablePointer<Double>,
    second v: UnsafeMutablePointer<Double>, count: Int, _ rule: AdamRule<Double>
  ) {
    rg_adam_d(
      count, rule.beta1, rule.beta2, rule.size, rule.root, rule.epsilon, rule.gradientScale, g, p, m, v)
  }

  package static func squareSum(_ x: UnsafePointer<Double>, count: Int) -> Double { rg_square_sum_d(count, x) }

  package static func dropoutMask(
    _ mask: UnsafeMutablePointer<Double>, count: Int, seed: UInt64, stream: UInt64, dropped: Int, kept: Double
  ) { rg_dropout_mask_d(count, seed, stream, UInt32(dropped), kept, mask) }
}
