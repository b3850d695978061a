internal import CBLASLoader
internal import CKernels

// The two conformances differ in nothing but the suffix of the C functions.

extension Float: LayerScalar {
  package static func multiply(
    _ a: MatrixView<Float>, _ b: MatrixView<Float>, rows: Int, columns: Int, depth: Int, alpha: Float, beta: Float,
    into c: UnsafeMutablePointer<Float>, stride: Int
  ) {
    rg_sgemm(
      a.isTransposed ? 1 : 0, b.isTransposed ? 1 : 0, Int32(rows), Int32(columns), Int32(depth), alpha, a.elements,
      Int32(a.stride), b.elements, Int32(b.stride), beta, c, Int32(stride))
  }

  package static func activate(
    _ z: UnsafeMutablePointer<Float>, rows: Int, columns: Int, bias: UnsafePointer<Float>?, activation: Activation,
    slope: UnsafeMutablePointer<Float>?
  ) { rg_activate_f(rows, columns, bias, activation.code, z, slope) }

  package static func gate(
    _ value: UnsafeMutablePointer<Float>, slope: UnsafeMutablePointer<Float>, up: UnsafeMutablePointer<Float>,
    rows: Int,
    columns: Int, bias: UnsafePointer<Float>?, activation: Activation
  ) { rg_gate_f(rows, columns, bias, activation.code, value, slope, up) }

  package static func activateBackward(
    _ gradient: UnsafeMutablePointer<Float>, count: Int, value: UnsafePointer<Float>, slope: UnsafePointer<Float>?,
    activation: Activation
  ) { rg_activation_backward_f(count, activation.code, value, slope, gradient) }

  package static func columnSums(
    _ matrix: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int, into sums: UnsafeMutablePointer<Float>
  ) { rg_column_sums_f(rows, columns, stride, matrix, sums) }

  package static func addRow(
    _ row: UnsafePointer<Float>, to matrix: UnsafeMutablePointer<Float>, rows: Int, columns: Int
  ) { rg_add_row_f(rows, columns, row, matrix) }

  package static func addScaled(
    _ x: UnsafePointer<Float>, factor: Float, scale: UnsafePointer<Float>?, to y: UnsafeMutablePointer<Float>,
    count: Int
  ) { rg_add_scaled_f(count, factor, scale, x, y) }

  package static func setScaled(
    _ x: UnsafePointer<Float>, factor: Float, scale: UnsafePointer<Float>?, to y: UnsafeMutablePointer<Float>,
    count: Int
  ) { rg_set_scaled_f(count, factor, scale, x, y) }

  package static func addProduct(
    _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, factor: Float, to sum: UnsafeMutablePointer<Float>, count: Int
  ) { rg_add_product_f(count, factor, x, y, sum) }

  package static func dot(
    _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, scale: UnsafePointer<Float>?, count: Int
  ) -> Float { rg_dot_f(count, scale, x, y) }

  package static func widen(_ from: UnsafePointer<Float>, to: UnsafeMutablePointer<Double>, count: Int) {
    rg_widen_f(count, from, to)
  }

  package static func narrow(_ from: UnsafePointer<Double>, to: UnsafeMutablePointer<Float>, count: Int) {
    rg_narrow_f(count, from, to)
  }
}

extension Double: LayerScalar {
  package static func multiply(
    _ a: MatrixView<Double>, _ b: MatrixView<Double>, rows: Int, columns: Int, depth: Int, alpha: Double, beta: Double,
    into c: UnsafeMutablePointer<Double>, stride: Int
  ) {
    rg_dgemm(
      a.isTransposed ? 1 : 0, b.isTransposed ? 1 : 0, Int32(rows), Int32(columns), Int32(depth), alpha, a.elements,
      Int32(a.stride), b.elements, Int32(b.stride), beta, c, Int32(stride))
  }

  package static func activate(
    _ z: UnsafeMutablePointer<Double>, rows: Int, columns: Int, bias: UnsafePointer<Double>?, activation: Activation,
    slope: UnsafeMutablePointer<Double>?
  ) { rg_activate_d(rows, columns, bias, activation.code, z, slope) }

  package static func gate(
    _ value: UnsafeMutablePointer<Double>, slope: UnsafeMutablePointer<Double>, up: UnsafeMutablePointer<Double>,
    rows: Int,
    columns: Int, bias: UnsafePointer<Double>?, activation: Activation
  ) { rg_gate_d(rows, columns, bias, activation.code, value, slope, up) }

  package static func activateBackward(
    _ gradient: UnsafeMutablePointer<Double>, count: Int, value: UnsafePointer<Double>, slope: UnsafePointer<Double>?,
    activation: Activation
  ) { rg_activation_backward_d(count, activation.code, value, slope, gradient) }

  package static func columnSums(
    _ matrix: UnsafePointer<Double>, rows: Int, columns: Int, stride: Int, into sums: UnsafeMutablePointer<Double>
  ) { rg_column_sums_d(rows, columns, stride, matrix, sums) }

  package static func addRow(
    _ row: UnsafePointer<Double>, to matrix: UnsafeMutablePointer<Double>, rows: Int, columns: Int
  ) { rg_add_row_d(rows, columns, row, matrix) }

  package static func addScaled(
    _ x: UnsafePointer<Double>, factor: Double, scale: UnsafePointer<Double>?, to y: UnsafeMutablePointer<Double>,
    count: Int
  ) { rg_add_scaled_d(count, factor, scale, x, y) }

  package static func setScaled(
    _ x: UnsafePointer<Double>, factor: Double, scale: UnsafePointer<Double>?, to y: UnsafeMutablePointer<Double>,
    count: Int
  ) { rg_set_scaled_d(count, factor, scale, x, y) }

  package static func addProduct(
    _ x: UnsafePointer<Double>, _ y: UnsafePointer<Double>, factor: Double, to sum: UnsafeMutablePointer<Double>,
    count: Int
  ) { rg_add_product_d(count, factor, x, y, sum) }

  package static func dot(
    _ x: UnsafePointer<Double>, _ y: UnsafePointer<Double>, scale: UnsafePointer<Double>?, count: Int
  ) -> Double { rg_dot_d(count, scale, x, y) }

  package static func widen(_ from: UnsafePointer<Double>, to: UnsafeMutablePointer<Double>, count: Int) {
    rg_widen_d(count, from, to)
  }

  package static func narrow(_ from: UnsafePointer<Double>, to: UnsafeMutablePointer<Double>, count: Int) {
    rg_narrow_d(count, from, to)
  }
}

// MARK: - Combinations of rows

extension Double {
  /// `sum += Σ_r factors_r · table[rows_r]`; the table says where rows of `count` numbers are.
  package static func addCombination(
    of table: UnsafePointer<UnsafePointer<Double>?>, rows: UnsafePointer<Int>, factors: UnsafePointer<Double>,
    terms: Int, to sum: UnsafeMutablePointer<Double>, count: Int
  ) { rg_add_combination(count, terms, rows, factors, table, sum) }

  /// `Σ_s weights_s ‖Σ_r factors_sr · table[rows_r] − centre‖²`, likewise; the factors are `[sums, terms]`.
  package static func squaredDistance(
    of table: UnsafePointer<UnsafePointer<Double>?>, rows: UnsafePointer<Int>, factors: UnsafePointer<Double>,
    terms: Int, weights: UnsafePointer<Double>, sums: Int, from centre: UnsafePointer<Double>, count: Int
  ) -> Double { rg_combination_distance(count, terms, rows, sums, factors, weights, table, centre) }

  /// `‖x − centre‖²`.
  package static func squaredDistance(
    _ x: UnsafePointer<Double>, from centre: UnsafePointer<Double>, count: Int
  ) -> Double {
    var (row, factor, weight, table) = (0, 1.0, 1.0, Optional(x))
    return rg_combination_distance(count, 1, &row, 1, &factor, &weight, &table, centre)
  }
}
