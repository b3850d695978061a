import CStandardLibrary

/// The probabilities that an entry is in a random k-subset of `P(S) ∝ exp(Σ_{i∈S} ℓ_i)`.
///
/// `μ_i = w_i e_{k−1}(w∖i) / e_k(w)` with `w = e^ℓ` and elementary symmetric polynomials e; the gradient is the covariance of the
/// indicators, `∂μ_i/∂ℓ_j = P(i, j ∈ S) − μ_i μ_j`, applied to a vector by the same recursion on dual numbers.
///
/// *Numerics*: polynomials are sums of terms of one sign, kept as logarithms, so that no spread of ℓ overflows.
///
/// *Complexity*: O(N k) for the values and for a gradient.
///
/// *Source*: Chen, Dempster, Liu 1994, Biometrika 81(3); Ahmed et al., arXiv 2210.01941.
struct SubsetMarginals {
  let logits: [Double]
  let count: Int

  /// μ and its pullback to ℓ, which is symmetric.
  var marginals: Differentiated {
    Differentiated(values: evaluate(along: [Double](repeating: 0, count: logits.count)).value) {
      evaluate(along: $0).derivative
    }
  }

  /// μ, and its derivative in a direction.
  private func evaluate(along direction: [Double]) -> (value: [Double], derivative: [Double]) {
    let n = logits.count
    let weights = zip(logits, direction).map { LogDual(value: $0, derivative: $1) }
    // prefix[i][m] = e_m(w_0 … w_{i−1}), suffix[i][m] = e_m(w_i … w_{n−1}).
    let one = [LogDual(value: 0, derivative: 0)] + [LogDual](repeating: .zero, count: count)
    func adding(_ w: LogDual, _ e: [LogDual]) -> [LogDual] {
      var sum = e
      for m in 1..<e.count { sum[m] = e[m] + w * e[m - 1] }
      return sum
    }
    var prefix = [one]
    for w in weights { prefix.append(adding(w, prefix[prefix.count - 1])) }
    var suffix = [one]
    for w in weights.reversed() { suffix.append(adding(w, suffix[suffix.count - 1])) }
    suffix.reverse()
    let total = prefix[n][count]
    var value = [Double](repeating: 0, count: n)
    var derivative = value
    for i in 0..<n where count > 0 {
      var without = LogDual.zero
      for m in 0..<count { without = without + prefix[i][m] * suffix[i + 1][count - 1 - m] }
      let part = weights[i] * without
      value[i] = exp(part.value - total.value)
      derivative[i] = value[i] * (part.derivative - total.derivative)
    }
    return (value, derivative)
  }

  /// `log p_i − log(1 − p_i)` of `p = softmax(x)`: `x_i − log Σ_{l ≠ i} e^{x_l}`.
  static func logOdds(_ x: [Double]) -> [Double] {
    var before = [-Double.infinity]
    for value in x { before.append(logSum(before[before.count - 1], value)) }
    var after = -Double.infinity
    var odds = x
    for i in x.indices.reversed() {
      odds[i] = x[i] - logSum(before[i], after)
      after = logSum(after, x[i])
    }
    return odds
  }

  /// `log(e^a + e^b)`.
  private static func logSum(_ a: Double, _ b: Double) -> Double {
    let (low, high) = a < b ? (a, b) : (b, a)
    return low == -.infinity ? high : high + log1p(exp(low - high))
  }

  /// The logarithm of a number that is not negative, and its derivative in one direction.
  private struct LogDual {
    var value: Double
    var derivative: Double

    static let zero = LogDual(value: -.infinity, derivative: 0)

    static func + (a: LogDual, b: LogDual) -> LogDual {
      if a.value == -.infinity { return b }
      if b.value == -.infinity { return a }
      let sum = logSum(a.value, b.value)
      return LogDual(
        value: sum, derivative: exp(a.value - sum) * a.derivative + exp(b.value - sum) * b.derivative)
    }
    static func * (a: LogDual, b: LogDual) -> LogDual {
      LogDual(value: a.value + b.value, derivative: a.derivative + b.derivative)
    }
  }
}
