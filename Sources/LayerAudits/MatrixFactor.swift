import LayerTensors

/// A factor of a product of matrices: an array, which is kept alive while it is read, or memory that somebody else keeps.
enum MatrixFactor {
  /// Rows of `stride` numbers, from the number `from` on.
  case rows([Double], stride: Int, from: Int = 0, transposed: Bool = false)
  /// Somebody else's.
  case memory(UnsafePointer<Double>, stride: Int, transposed: Bool = false)

  /// What begins with a later column, of a factor that is not transposed.
  func from(column: Int) -> MatrixFactor {
    switch self {
    case .rows(let values, let stride, let first, transposed: false):
      .rows(values, stride: stride, from: first + column)
    case .memory(let start, let stride, transposed: false): .memory(start + column, stride: stride)
    case .rows, .memory: preconditionFailure("expected a factor that is not transposed")
    }
  }

  /// Calls `body` while the numbers are there.
  func withView(_ body: (MatrixView<Double>) -> Void) {
    switch self {
    case .rows(let values, let stride, let first, let isTransposed):
      values.withUnsafeBufferPointer { buffer in
        guard let start = buffer.baseAddress else { return }
        body(MatrixView(start + first, stride: stride, transposed: isTransposed))
      }
    case .memory(let start, let stride, let isTransposed):
      body(MatrixView(start, stride: stride, transposed: isTransposed))
    }
  }

  /// `c = op(a) op(b) + beta c`, the rows of c side by side; op(a) is `[rows, depth]`, op(b) `[depth, columns]`.
  static func multiply(
    _ a: MatrixFactor, _ b: MatrixFactor, rows: Int, columns: Int, depth: Int, beta: Double = 0,
    into c: UnsafeMutablePointer<Double>
  ) {
    a.withView { a in
      b.withView { b in
        Double.multiply(
          a, b, rows: rows, columns: columns, depth: depth, alpha: 1, beta: beta, into: c, stride: columns)
      }
    }
  }
}
