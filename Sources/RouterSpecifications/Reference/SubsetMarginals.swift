import CStandardLibrary

/// The probabilities that an entry is in a random k-subset of `P(S) ∝ exp(Σ_{i∈S} ℓ_i)`.
///
/// `μ_i = w_i e_{k−1}(w∖i) / e_k(w)` with `w = e^ℓ` and elementary symmetric polynomials e; the gradient is the covariance of the
/// indicators, `∂μ_i/∂ℓ_j = P(i, j ∈ S) − μ_i μ_j`, applied to a vector by the same recursion on dual numbers.
///
/// *Numerics*: weights are divided by the largest of them, and polynomials are sums of terms of one sign.
///
/// *Complexity*: O(N k) for the values and for a gradient.
///
/// *Source*: Chen, Dempster, Liu 1994, Biometrika 81(3), equations (1)–(3); Ahmed et al., arXiv 2210.01941.
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
    let top = logits.max() ?? 0
    let weights = zip(logits, direction).map { logit, d in
      let w = exp(logit - top)
      return Dual(value: w, derivative: w * d)
    }
    // prefix[i][m] = e_m(w_0 … w_{i−1}), suffix[i][m] = e_m(w_i … w_{n−1}).
    let one = [Dual(value: 1, derivative: 0)] + [Dual](repeating: Dual(value: 0, derivative: 0), count: count)
    func adding(_ w: Dual, _ e: [Dual]) -> [Dual] {
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
    for i in 0..<n {
      var without = Dual(value: 0, derivative: 0)
      for m in 0..<count { without = without + prefix[i][m] * suffix[i + 1][count - 1 - m] }
      let part = weights[i] * without
      value[i] = part.value / total.value
      derivative[i] = (part.derivative - value[i] * total.derivative) / total.value
    }
    return (value, derivative)
  }

  /// A number and its derivative in one direction.
  private struct Dual {
    var value: Double
    var derivative: Double

    static func + (a: Dual, b: Dual) -> Dual {
      Dual(value: a.value + b.value, derivative: a.derivative + b.derivative)
    }
    static func * (a: Dual, b: Dual) -> Dual {
      Dual(value: a.value * b.value, derivative: a.derivative * b.value + a.value * b.derivative)
    }
  }
}
