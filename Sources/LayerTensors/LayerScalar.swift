internal import CBLASLoader
internal import CKernels

/// A number that layers compute with: Float for speed, Double for gradient checks and audits.
///
/// Its requirements are whole passes over memory, so that generic code calls them a few times for each tile of tokens
/// and costs nothing where it is not specialised. All matrices are row-major.
package protocol LayerScalar: BinaryFloatingPoint, Sendable {
  /// `c = alpha op(a) op(b) + beta c` on the calling thread; op(a) is `[rows, depth]`, op(b) `[depth, columns]`.
  static func multiply(
    _ a: MatrixView<Self>, _ b: MatrixView<Self>, rows: Int, columns: Int, depth: Int, alpha: Self, beta: Self,
    into c: UnsafeMutablePointer<Self>, stride: Int)
  /// `z = act(z + bias)`; `slope = act'`, except for ReLU, which reads it off its value.
  static func activate(
    _ z: UnsafeMutablePointer<Self>, rows: Int, columns: Int, bias: UnsafePointer<Self>?, activation: Activation,
    slope: UnsafeMutablePointer<Self>?)
  /// Gated units from what ``activate(_:rows:columns:bias:activation:slope:)`` has left and `up = W₃ x`: `value = act(z) u`,
  /// its slopes by z in `slope`, by up in `up`; u is `up + bias`, ``Activation/clampedSwiglu`` has one of its own.
  static func gate(
    _ value: UnsafeMutablePointer<Self>, slope: UnsafeMutablePointer<Self>, up: UnsafeMutablePointer<Self>, rows: Int,
    columns: Int, bias: UnsafePointer<Self>?, activation: Activation)
  /// `gradient *= act'`.
  static func activateBackward(
    _ gradient: UnsafeMutablePointer<Self>, count: Int, value: UnsafePointer<Self>, slope: UnsafePointer<Self>?,
    activation: Activation)
  /// The sum of each column of rows that start `stride` apart.
  static func columnSums(
    _ matrix: UnsafePointer<Self>, rows: Int, columns: Int, stride: Int, into sums: UnsafeMutablePointer<Self>)
  /// Adds `row` to every row.
  static func addRow(
    _ row: UnsafePointer<Self>, to matrix: UnsafeMutablePointer<Self>, rows: Int, columns: Int)
  /// `y += factor · scale ⊙ x`, without a scale `y += factor · x`.
  static func addScaled(
    _ x: UnsafePointer<Self>, factor: Self, scale: UnsafePointer<Self>?, to y: UnsafeMutablePointer<Self>, count: Int)
  /// `y = factor · scale ⊙ x`, without a scale `y = factor · x`.
  static func setScaled(
    _ x: UnsafePointer<Self>, factor: Self, scale: UnsafePointer<Self>?, to y: UnsafeMutablePointer<Self>, count: Int)
  /// `sum += factor · x ⊙ y`.
  static func addProduct(
    _ x: UnsafePointer<Self>, _ y: UnsafePointer<Self>, factor: Self, to sum: UnsafeMutablePointer<Self>, count: Int)
  /// `Σ_j scale_j x_j y_j`, without a scale `Σ_j x_j y_j`.
  static func dot(
    _ x: UnsafePointer<Self>, _ y: UnsafePointer<Self>, scale: UnsafePointer<Self>?, count: Int
  ) -> Self
  /// Writes numbers as Double.
  static func widen(_ from: UnsafePointer<Self>, to: UnsafeMutablePointer<Double>, count: Int)
  /// Rounds numbers from Double.
  static func narrow(_ from: UnsafePointer<Double>, to: UnsafeMutablePointer<Self>, count: Int)
}

/// A matrix in memory as a factor of a product: where it begins, how far apart its rows are, and whether it is taken
/// transposed.
package struct MatrixView<Scalar: LayerScalar> {
  package var elements: UnsafePointer<Scalar>
  package var stride: Int
  package var isTransposed: Bool

  /// A factor.
  package init(@_nonEphemeral _ elements: UnsafePointer<Scalar>, stride: Int, transposed: Bool = false) {
    self.elements = elements
    self.stride = stride
    self.isTransposed = transposed
  }
}

/// The activation between an expert's linear maps, `act(W₁ x + b₁)`; of gated experts times `u = W₃ x + b₃`.
package enum Activation: String, Sendable, CaseIterable {
  /// `max(x, 0)`, of slope 0 at 0.
  case relu
  /// `x Φ(x)`, by the error function.
  case gelu
  /// `x σ(x)`.
  case silu
  /// `x (1 + tanh(√(2/π) (x + 0.044715 x³)))/2`, as many programs have it in place of `gelu`.
  case geluTanh = "gelu-tanh"
  /// gpt-oss: `x σ(1.702 x)` with x at most 7, of slope 0 beyond; gated by `u = 1 + min(max(W₃ x + b₃, −7), 7)`.
  ///
  /// *Source*: transformers 5.24.0, `GptOssExperts._apply_gate`, with `swiglu_alpha` and `swiglu_limit` of `GptOssConfig`.
  case clampedSwiglu = "clamped-swiglu"

  var code: Int32 {
    switch self {
    case .relu: Int32(RG_RELU)
    case .gelu: Int32(RG_GELU)
    case .silu: Int32(RG_SILU)
    case .geluTanh: Int32(RG_GELU_TANH)
    case .clampedSwiglu: Int32(RG_CLAMPED_SWIGLU)
    }
  }
}

/// The libraries that multiply matrices, and the kernels that they use; docs/dependencies.md says how they are found.
package enum MatrixLibrary {
  /// Of Float: `oneDNN 2.6 (AVX-512 kernels)`, `OpenBLAS 0.3.21 (NEOVERSEN1 kernels)`, or `built in`.
  package static var float: String { String(cString: rg_float_blas()) }
  /// Of Double.
  package static var double: String { String(cString: rg_double_blas()) }
}
