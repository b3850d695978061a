/// Random subsets of N items, `p(z) ∝ exp(Σ_i z_i θ_i)` over the indicators z whose number of ones lies within a range: independent
/// coins of odds `e^θ`, given how many heads there are.
///
/// With `w = e^θ`, e_m the elementary symmetric polynomials and `E_m` those of all weights but the ones of the items looked at,
/// ```
/// Z        = Σ_m e_m,                         m from k₁ to k₂,
/// μ_i      = w_i Σ_m E_{m−1} / Z,             1 − μ_i = Σ_m E_m / Z,
/// Cov_ij   = −(w_i w_j / Z²) [ Σ_{q=a}^{b} D(a, q) + Σ_{p=a+1}^{b} D(p, b) ],   a = k₁ − 1, b = k₂ − 1,
/// D(p, q)  = E_p E_q − E_{p−1} E_{q+1} ≥ 0.
/// ```
/// The covariance: `P₁₁ P₀₀ − P₁₀ P₀₁` of the four cases of two items is, with window sums `B_s = Σ_{m=a}^{b} E_{m+s}`,
/// `(w_i w_j/Z²) (B_{−1} B_1 − B_0²)`, and `B_0² − B_{−1} B_1 = Σ_{p,q} (E_p E_q − E_{p−1} E_{q+1})`, where the terms of p ≥ q + 2 are those of
/// pairs within `a + 1 … b − 1` with the other sign. What is left is the sum above, one term for an exact size. Items are never
/// correlated positively.
///
/// *Numerics*: weights and polynomials are ``ScaledNumber``s: no spread of θ overflows, and sums are of terms of one sign but for D, where
/// Newton's inequality `E_{p−1} E_{p+1} ≤ E_p² (1 − 1/(p+1)…)` keeps at least a share `1/(p + 1)` of the first term. Logits are taken relative
/// to the k₁-th largest where it is certain (else the k₂-th, else 0), their rounding errors carried along.
///
/// *Edge cases*: θ_i = −∞ is never in; sizes up to the number of the others, 0 included. Ties are ties.
///
/// - Complexity: O(N k²) at first (O(N k) for an exact size), O(N² k²) or O(N² k) for covariances, O(N) for a subset.
///
/// *Source*: Chen, Dempster, Liu, Biometrika 81 (1994) 457–469; Ahmed, Zeng, Niepert, Van den Broeck, arXiv 2210.01941, whose algorithm 1
/// is the same recursion. The form of the covariance is derived here.
package struct ConditionalBernoulli: Sendable {
  /// θ, `[items]`.
  package let logits: [Double]
  /// How many items a subset may have.
  package let sizes: ClosedRange<Int>
  /// `log Z`.
  package let logNormalizer: Double
  /// μ, `[items]`.
  package let marginals: [Double]
  /// `1 − μ`, `[items]`.
  package let complements: [Double]

  /// Relative to the reference.
  private let weights: [ScaledNumber]
  /// e^{c t}, by which subsets of k₁ + t items are favoured once their weights are relative to the reference c.
  private let sizeFactors: [ScaledNumber]
  private let total: ScaledNumber
  /// `e_m` of the items from i on, `[items + 1][most + 1]`.
  private let suffixes: [[ScaledNumber]]

  /// The law of subsets of exactly `size` items.
  package init(logits: [Double], size: Int) throws(InvalidInput) { try self.init(logits: logits, sizes: size...size) }

  /// The law of subsets of these sizes.
  ///
  /// - Throws: `InvalidInput` if a logit is NaN or +∞, or there are fewer finite ones than the largest size.
  package init(logits: [Double], sizes: ClosedRange<Int>) throws(InvalidInput) {
    for (i, logit) in logits.enumerated() where logit.isNaN || logit == .infinity {
      throw InvalidInput("logits[\(i)]", "expected a number or -inf, got \(logit)")
    }
    let sorted = logits.filter { $0 > -.infinity }.sorted(by: >)
    guard sizes.lowerBound >= 0, sizes.upperBound <= sorted.count else {
      throw InvalidInput(
        "k", "expected at most as many as there are finite logits, \(sorted.count), got \(sizes.upperBound)")
    }
    self.logits = logits
    self.sizes = sizes
    let reference = Self.reference(sorted, sizes)
    let weights = logits.map { ScaledNumber(exp: $0, relativeTo: reference) }
    var factors = [ScaledNumber.one]
    for _ in sizes.dropFirst() { factors.append(factors[factors.count - 1] * ScaledNumber(exp: reference)) }
    let most = sizes.upperBound
    var suffixes = [Self.polynomials(of: [], most)]
    for w in weights.reversed() { suffixes.append(Self.adding(w, to: suffixes[suffixes.count - 1])) }
    suffixes.reverse()
    var total = ScaledNumber.zero
    for (t, m) in sizes.enumerated() { total += suffixes[0][m] * factors[t] }
    self.weights = weights
    self.sizeFactors = factors
    self.suffixes = suffixes
    self.total = total
    logNormalizer = total.logarithm + Double(sizes.lowerBound) * reference
    var marginals = [Double](repeating: 0, count: logits.count)
    var complements = marginals
    var prefix = suffixes[suffixes.count - 1]
    for i in logits.indices {
      var (inside, outside) = (ScaledNumber.zero, ScaledNumber.zero)
      for (t, m) in sizes.enumerated() {
        if m > 0 { inside += Self.coefficient(m - 1, prefix, suffixes[i + 1]) * factors[t] }
        outside += Self.coefficient(m, prefix, suffixes[i + 1]) * factors[t]
      }
      marginals[i] = (weights[i] * inside / total).value
      complements[i] = (outside / total).value
      prefix = Self.adding(weights[i], to: prefix)
    }
    self.marginals = marginals
    self.complements = complements
  }

  /// The logit that others are compared with: nothing far above it is ever left out, nothing far below it ever taken.
  private static func reference(_ sorted: [Double], _ sizes: ClosedRange<Int>) -> Double {
    let (low, high) = (sizes.lowerBound, sizes.upperBound)
    if low == high { return low > 0 ? sorted[low - 1] : 0 }
    if low > 0, sorted[low - 1] < 0 { return sorted[low - 1] }
    return sorted[high - 1] > 0 ? sorted[high - 1] : 0
  }

  /// `e_0 … e_most` of some weights.
  private static func polynomials(of weights: [ScaledNumber], _ most: Int) -> [ScaledNumber] {
    weights.reduce([.one] + [ScaledNumber](repeating: .zero, count: most)) { adding($1, to: $0) }
  }

  /// Polynomials with one weight more.
  private static func adding(_ w: ScaledNumber, to e: [ScaledNumber]) -> [ScaledNumber] {
    guard w != .zero else { return e }
    var sum = e
    for m in stride(from: e.count - 1, to: 0, by: -1) { sum[m] += w * e[m - 1] }
    return sum
  }

  /// `e_m` of the weights of two lists of polynomials together; 0 for m < 0.
  private static func coefficient(_ m: Int, _ a: [ScaledNumber], _ b: [ScaledNumber]) -> ScaledNumber {
    guard m >= 0 else { return .zero }
    var sum = ScaledNumber.zero
    for l in max(0, m - b.count + 1)...min(m, a.count - 1) { sum += a[l] * b[m - l] }
    return sum
  }
}

// MARK: - Covariances

extension ConditionalBernoulli {
  /// Whether all subsets have one size, so that rows of the covariance sum to zero and θ may be shifted.
  package var isExact: Bool { sizes.count == 1 }

  /// `Cov z`, `[items][items]`, every entry with a small relative error.
  package var covariance: Matrix {
    let n = logits.count
    var matrix = Matrix(rows: n, columns: n)
    guard sizes.upperBound > 0 else { return matrix }
    let (a, b) = (sizes.lowerBound - 1, sizes.upperBound - 1)
    var before = suffixes[n]
    for i in 0..<n {
      matrix[i, i] = marginals[i] * complements[i]
      var prefix = before
      for j in i + 1..<max(n, i + 1) {
        // E_{a−1} … E_{b+1} of all but i and j.
        let e = (a - 1...b + 1).map { Self.coefficient($0, prefix, suffixes[j + 1]) }
        func minor(_ p: Int, _ q: Int) -> ScaledNumber {
          let factor = sizeFactors[p - a] * sizeFactors[q - a]
          return (e[p - a + 1] * e[q - a + 1] - e[p - a] * e[q - a + 2]) * factor
        }
        var sum = ScaledNumber.zero
        for q in a...b { sum += minor(a, q) }
        for p in a + 1..<max(b + 1, a + 1) { sum += minor(p, b) }
        let entry = -((weights[i] / total) * (weights[j] / total) * sum).value
        matrix[i, j] = entry
        matrix[j, i] = entry
        prefix = Self.adding(weights[j], to: prefix)
      }
      before = Self.adding(weights[i], to: before)
    }
    return matrix
  }

  /// `Cov z · v`, from the covariance.
  ///
  /// *Numerics*: of an exact size coordinate i is `Σ_j Cov_ij (v_j − v_i)`, which does not see what all coordinates of v have in common.
  package func covarianceProduct(_ covariance: Matrix, _ v: [Double]) -> [Double] {
    logits.indices.map { i in
      var sum = CompensatedSum()
      for (j, entry) in covariance.row(i).enumerated() where entry != 0 {
        sum += isExact ? entry * (v[j] - v[i]) : entry * v[j]
      }
      return sum.value
    }
  }
}

// MARK: - Subsets

extension ConditionalBernoulli {
  /// The logarithm of a subset's probability; −∞ if it has another size, or an item that is never in.
  package func logProbability(of subset: [Int]) -> Double { share(of: subset).logarithm }

  /// The probability of a subset, and its root where it is too small to be multiplied by (``RoutingDistribution/share(_:of:)``).
  package func probability(of subset: [Int]) -> (value: Double, root: Double?) {
    let share = share(of: subset)
    let value = min(share.value, 1)
    return (value, value < RoutingDistribution.smallestPlain ? share.squareRoot : nil)
  }

  private func share(of subset: [Int]) -> ScaledNumber {
    guard sizes.contains(subset.count) else { return .zero }
    // The only subset that there is.
    if isExact, sizes.lowerBound == logits.count { return .one }
    return subset.reduce(sizeFactors[subset.count - sizes.lowerBound]) { $0 * weights[$1] } / total
  }

  /// A subset, its items in increasing order: item by item, each with its probability given those before it.
  ///
  /// - Complexity: O(N), one random number for each item and, where there are several sizes, one for the size.
  package func sample(using generator: inout some RandomNumberGenerator) -> [Int] {
    sample { generator.nextOpenUnit() }
  }

  /// The same from numbers of the open unit interval, which are asked for one after the other.
  package func sample(_ nextUnit: () -> Double) -> [Int] {
    var left = sizes.lowerBound
    if !isExact {
      var rest = nextUnit()
      for (t, m) in sizes.enumerated() {
        left = m
        rest -= (suffixes[0][m] * sizeFactors[t] / total).value
        if rest < 0 { break }
      }
    }
    var subset: [Int] = []
    for i in logits.indices where left > 0 {
      let unit = nextUnit()
      let without = suffixes[i + 1][left]
      // What is left may all be needed.
      if without == .zero || unit < (weights[i] * suffixes[i + 1][left - 1] / suffixes[i][left]).value {
        guard weights[i] != .zero else { continue }
        subset.append(i)
        left -= 1
      }
    }
    return subset
  }
}
