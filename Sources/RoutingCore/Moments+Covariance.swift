extension RoutingDistribution {
  /// Adds `f Cov_kl` for k ≠ l to a matrix, `Cov` being that of `s (I_D − π)`, D ~ π, with the conditional mean a and variance v
  /// of the scalar s given D; the diagonal, which ``scoreMoments(weights:spread:)`` has, is left with numbers of no meaning.
  ///
  /// With `ā = Σ π_j a_j`, `b = a − ā`, `V = Σ π_j b_j²`, `v̄ = Σ π_j v_j`, for k and l other than the most probable expert m,
  /// ```
  /// Cov_kl = π_k π_l [V + v̄ − v_k − v_l + ā (a_k + a_l) − a_k² − a_l² − a_k a_l] = π_k R_l + R_k π_l − π_k a_k π_l a_l,
  /// R_k    = π_k [½ (V + v̄) + ā a_k − a_k² − v_k],
  /// Cov_ml = π_m π_l [E₂ + v° − q v_m − v_l + (b_l − δ) E₁ − δ q b_l − (q² a_m + π_m E₁)(a_l − δ) − (a_l − δ) a_l],
  /// ```
  /// where `q = 1 − π_m`, `δ = ā − a_m`, and E₁, E₂, v° are the sums of `π_j a_j`, `π_j a_j²` and `π_j v_j` over `j ≠ m`.
  ///
  /// *Numerics*: the second form keeps its digits where `π_m → 1`, where the first would subtract what is nearly equal.
  /// Entries are within rounding of `√(Cov_kk Cov_ll)`.
  ///
  /// - Precondition: no probability needs its root; a and v are 0 outside the support.
  /// - Complexity: O(experts²), symmetric to the bit.
  func addScoreProducts(weights a: [Double], spread v: [Double], times factor: Double, to matrix: inout Matrix) {
    let (n, m) = (experts, argmax)
    let (q, shift) = (complements[m], driftFromArgmax(a))
    let mean = a[m] + shift
    var (square, spread) = (CompensatedSum(), CompensatedSum())
    var (first, second, elsewhere) = (CompensatedSum(), CompensatedSum(), CompensatedSum())
    for j in support {
      let (p, b) = (probabilities[j], (a[j] - a[m]) - shift)
      square += p * b * b
      spread += p * v[j]
      guard j != m else { continue }
      first += p * a[j]
      second += p * a[j] * a[j]
      elsewhere += p * v[j]
    }
    var p = probabilities
    p[m] = 0
    var (x, r) = (p, p)
    let half = 0.5 * (square.value + spread.value)
    let level = q * q * a[m] + probabilities[m] * first.value
    let rest = (second.value + elsewhere.value) - q * v[m]
    for l in support where l != m {
      x[l] = p[l] * a[l]
      r[l] = p[l] * half + x[l] * mean - x[l] * a[l] - p[l] * v[l]
      let (b, d) = ((a[l] - a[m]) - shift, a[l] - shift)
      let sum = (rest - v[l]) + (b - shift) * first.value - shift * q * b - level * d - d * a[l]
      let entry = factor * probabilities[m] * (p[l] * sum)
      matrix[m, l] += entry
      matrix[l, m] += entry
    }
    matrix.elements.withUnsafeMutableBufferPointer { matrix in
      p.withUnsafeBufferPointer { p in
        x.withUnsafeBufferPointer { x in
          r.withUnsafeBufferPointer { r in
            guard let entries = matrix.baseAddress, let p = p.baseAddress, let x = x.baseAddress, let r = r.baseAddress
            else { return }
            for k in support where k != m {
              let row = entries + k * n
              let (pk, xk, rk) = (p[k], x[k], r[k])
              for l in 0..<n { row[l] += factor * ((pk * r[l] + rk * p[l]) - xk * x[l]) }
            }
          }
        }
      }
    }
  }
}

/// The sum of `p d dᵀ` over outcomes, in their order: a few at a time, so that the matrix is gone through less often.
struct DeviationProducts {
  private var products: Matrix
  private var left: [Double] = []
  private var right: [Double] = []

  init(experts: Int) { products = Matrix(rows: experts, columns: experts) }

  /// Adds an outcome: its deviation from the mean, `[experts]`, and its probability, or the root of that where there is one.
  mutating func add(_ deviation: some Sequence<Double>, probability: Double, root: Double?) {
    for value in deviation {
      left.append((root ?? probability) * value)
      right.append(root.map { $0 * value } ?? value)
    }
    if left.count >= 16 * products.columns { flush() }
  }

  /// The sum.
  var matrix: Matrix {
    mutating get {
      flush()
      return products
    }
  }

  private mutating func flush() {
    let n = products.columns
    products.elements.withUnsafeMutableBufferPointer { products in
      right.withUnsafeBufferPointer { right in
        guard let entries = products.baseAddress, let rights = right.baseAddress else { return }
        for k in 0..<n {
          let row = entries + k * n
          for o in 0..<left.count / n {
            let (factor, right) = (left[o * n + k], rights + o * n)
            for l in 0..<n { row[l] += factor * right[l] }
          }
        }
      }
    }
    left.removeAll(keepingCapacity: true)
    right.removeAll(keepingCapacity: true)
  }
}
