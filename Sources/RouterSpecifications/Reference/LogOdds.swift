import CStandardLibrary

/// `log p_i − log(1 − p_i)` of `p = softmax(x)`: `x_i − log Σ_{l ≠ i} e^{x_l}`.
package func logOdds(_ x: [Double]) -> [Double] {
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
private func logSum(_ a: Double, _ b: Double) -> Double {
  let (low, high) = a < b ? (a, b) : (b, a)
  return low == -.infinity ? high : high + log1p(exp(low - high))
}
