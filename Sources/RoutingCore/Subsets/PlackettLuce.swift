import CStandardLibrary

/// Subsets drawn one item after the other without replacement, each in proportion to `w = e^θ` among the items left: the k largest of
/// `θ + Γ`, Γ iid Gumbel.
///
/// An ordered draw has the probability `Π_t w_{i_t} / (W − Σ_{s<t} w_{i_s})`, a subset S the sum over its orders, which the 2^k sets U of what is
/// already drawn give without listing orders: with `W_U` the weight left after U and R that of the items outside S,
/// ```
/// f(∅) = 1,  f(V) = Σ_{i∈V} f(V∖i) w_i/W_{V∖i};     b(S) = 1,  b(U) = Σ_{i∈S∖U} (w_i/W_U) b(U∪i);     P(S) = f(S) = b(∅).
/// ```
/// `v(U) = f(U) b(U)/P(S)` is the probability that U was drawn on the way to S, and
/// ```
/// ∂ log P(S)/∂θ_j = −w_j Σ_U v(U)/W_U                                       j outside S,
/// ∂ log P(S)/∂θ_a = Σ_{U∌a} v(U) (w_a/W_U) (b(U∪a) − b(U))/b(U)             a in S.
/// ```
///
/// *Numerics*: ``ScaledNumber``s; weights left are sums of what is left. Of `b(U∪a) − b(U)` the smaller way is taken, by b or by
/// `d = 1 − b`, which has the recursion `d(U) = R/W_U + Σ_i (w_i/W_U) d(U∪i)`, so that scores keep their digits where S is almost certain.
///
/// *Edge cases*: θ_i = −∞ is never drawn.
///
/// - Complexity: O(2^k k) for a subset, O(k) for an ordered draw, O(N) for a sample.
///
/// *Source*: Yellott, J. Math. Psych. 15 (1977) 109–144; Kool, van Hoof, Welling, arXiv 2002.06043, whose P(S) is an integral or a sum over
/// orders; the recursion over sets in place of orders is derived here.
package struct PlackettLuce: Sendable {
  /// θ, `[items]`.
  package let logits: [Double]
  /// k.
  package let size: Int
  /// Relative to the largest logit.
  private let weights: [ScaledNumber]

  /// The most items that a subset's probability is given for.
  package static let largestSize = 12

  /// The law of k items.
  ///
  /// - Throws: `InvalidInput` if a logit is NaN or +∞, or there are fewer finite ones than k.
  package init(logits: [Double], size: Int) throws(InvalidInput) {
    for (i, logit) in logits.enumerated() where logit.isNaN || logit == .infinity {
      throw InvalidInput("logits[\(i)]", "expected a number or -inf, got \(logit)")
    }
    let finite = logits.count { $0 > -.infinity }
    guard size >= 0, size <= finite else {
      throw InvalidInput("k", "expected at most as many as there are finite logits, \(finite), got \(size)")
    }
    self.logits = logits
    self.size = size
    let top = logits.max() ?? 0
    weights = logits.map { ScaledNumber(exp: $0, relativeTo: top) }
  }

  /// The logarithm of the probability that these items are drawn in this order; −∞ if they cannot be.
  package func logProbability(ofOrder order: [Int]) -> Double {
    guard order.count == size, Set(order).count == size else { return -.infinity }
    var left = weights
    var probability = ScaledNumber.one
    for i in order {
      guard left[i] != .zero else { return -.infinity }
      probability = probability * left[i] / left.reduce(.zero, +)
      left[i] = .zero
    }
    return probability.logarithm
  }

  /// What the sets on the way to a subset S have in common.
  struct Ways: Sendable {
    /// `P(S)`.
    var probability: ScaledNumber
    /// v, by the bits of U.
    var visits: [ScaledNumber]
    /// W, b and 1 − b, likewise.
    var left: [ScaledNumber]
    var completions: [ScaledNumber]
    var deficits: [ScaledNumber]
  }

  /// - Precondition: a subset of k items, at most ``largestSize``.
  func ways(to subset: [Int]) -> Ways {
    precondition(subset.count == size && size <= Self.largestSize, "ways to a subset of \(subset.count)")
    let own = subset.map { weights[$0] }
    let outside = logits.indices.reduce(ScaledNumber.zero) { subset.contains($1) ? $0 : $0 + weights[$1] }
    let all = 1 << size
    var left = [ScaledNumber](repeating: outside, count: all)
    for u in 0..<all { for a in 0..<size where u >> a & 1 == 0 { left[u] += own[a] } }
    var arrivals = [ScaledNumber](repeating: .zero, count: all)
    arrivals[0] = .one
    for u in 0..<all where arrivals[u] != .zero && left[u] != .zero {
      for a in 0..<size where u >> a & 1 == 0 { arrivals[u | 1 << a] += arrivals[u] * own[a] / left[u] }
    }
    var completions = [ScaledNumber](repeating: .zero, count: all)
    var deficits = completions
    completions[all - 1] = .one
    for u in stride(from: all - 2, through: 0, by: -1) where left[u] != .zero {
      deficits[u] = outside / left[u]
      for a in 0..<size where u >> a & 1 == 0 {
        let share = own[a] / left[u]
        completions[u] += share * completions[u | 1 << a]
        deficits[u] += share * deficits[u | 1 << a]
      }
    }
    let probability = arrivals[all - 1]
    let visits =
      probability == .zero
      ? arrivals : zip(arrivals, completions).map { $0 * $1 / probability }
    return Ways(
      probability: probability, visits: visits, left: left, completions: completions, deficits: deficits)
  }

  /// The probability of a subset in any order, and its root where it is too small to be multiplied by.
  package func probability(of subset: [Int]) -> (value: Double, root: Double?) {
    let share = ways(to: subset).probability
    let value = min(share.value, 1)
    return (value, value < RoutingDistribution.smallestPlain ? share.squareRoot : nil)
  }

  /// `log P(S)`; −∞ if it cannot be drawn.
  package func logProbability(of subset: [Int]) -> Double { ways(to: subset).probability.logarithm }

  /// `∇ log P(S)`, `[items]`; it sums to zero.
  ///
  /// - Precondition: the subset can be drawn.
  package func score(of subset: [Int]) -> [Double] {
    let ways = ways(to: subset)
    let all = 1 << size
    var score = [Double](repeating: 0, count: logits.count)
    var pressure = ScaledNumber.zero
    for u in 0..<all - 1 where ways.visits[u] != .zero { pressure += ways.visits[u] / ways.left[u] }
    for j in logits.indices where weights[j] != .zero { score[j] = -(weights[j] * pressure).value }
    for (a, item) in subset.enumerated() {
      var sum = ScaledNumber.zero
      for u in 0..<all - 1 where u >> a & 1 == 0 && ways.visits[u] != .zero {
        let next = u | 1 << a
        let gain =
          ways.completions[u].value < 0.5
          ? ways.completions[next] - ways.completions[u] : ways.deficits[u] - ways.deficits[next]
        sum += ways.visits[u] * weights[item] / ways.left[u] * gain / ways.completions[u]
      }
      score[item] = sum.value
    }
    return score
  }

  /// Given that S was drawn: the probability that each of its items was the first, and for each of these, that each other one was the second;
  /// in the order of `subset`, the diagonal 0.
  package func firsts(of subset: [Int]) -> (first: [Double], second: [[Double]]) {
    let ways = ways(to: subset)
    func step(_ u: Int, _ a: Int) -> Double {
      guard ways.completions[u] != .zero else { return 0 }
      return (weights[subset[a]] / ways.left[u] * ways.completions[u | 1 << a] / ways.completions[u]).value
    }
    let places = subset.indices
    return (
      places.map { step(0, $0) },
      places.map { a in places.map { $0 == a || size < 2 ? 0 : step(1 << a, $0) } }
    )
  }

  /// A subset, its items in increasing order.
  package func sample(using generator: inout some RandomNumberGenerator) -> [Int] {
    let keys = logits.map { $0 - log(-log(generator.nextOpenUnit())) }
    return logits.indices.filter { logits[$0] > -.infinity }.sorted { keys[$0] > keys[$1] }.prefix(size).sorted()
  }
}
