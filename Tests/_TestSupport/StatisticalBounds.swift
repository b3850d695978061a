import CStandardLibrary
import RoutingCore
import Synchronization

/// The error rate of all random tests together, shared out over single comparisons (Bonferroni).
///
/// The whole suite fails by chance with a probability of at most ``total``: each comparison may fail with
/// probability ``perComparison``, and there must not be more than ``comparisons`` of them in a run. That is
/// about eight standard deviations, so with n samples a probability that is off by `10 √(p(1−p)/n)` is found
/// with a probability above 0.97.
public enum FalseFailures {
  /// The probability that any comparison of the suite fails by chance.
  public static let total = 1e-9
  /// The number of comparisons that share it.
  public static let comparisons = 1_000_000
  /// What is left for one.
  public static let perComparison = total / Double(comparisons)

  private static let made = Atomic<Int>(0)

  /// Draws on the budget.
  static func spend(_ count: Int = 1) {
    let before = made.add(count, ordering: .relaxed).oldValue
    precondition(
      before + count <= comparisons, "more than \(comparisons) random comparisons: raise the number")
  }
}

/// Exact tests of frequencies, and bounds on the error of sample means that hold for every n.
public enum StatisticalBounds {
  /// `P(X ≥ k)` for `upper`, else `P(X ≤ k)`, X binomial.
  ///
  /// *Numerics*: the terms are summed outwards from k, where they fall off; right to about 1e-9 relative, on
  /// the side of k that is away from the mean.
  static func binomialTail(_ k: Int, of n: Int, probability p: Double, upper: Bool) -> Double {
    if p <= 0 || p >= 1 {
      let certain = p <= 0 ? 0 : n
      return (upper ? certain >= k : certain <= k) ? 1 : 0
    }
    if upper ? k <= 0 : k >= n { return 1 }
    let logTerm =
      lgamma(Double(n + 1)).0 - lgamma(Double(k + 1)).0 - lgamma(Double(n - k + 1)).0
      + Double(k) * log(p) + Double(n - k) * log1p(-p)
    var sum = 0.0
    var ratio = 1.0
    var j = k
    while ratio > 1e-18 * sum {
      sum += ratio
      if upper {
        guard j < n else { break }
        ratio *= Double(n - j) / Double(j + 1) * (p / (1 - p))
        j += 1
      } else {
        guard j > 0 else { break }
        ratio *= Double(j) / Double(n - j + 1) * ((1 - p) / p)
        j -= 1
      }
    }
    return min(1, exp(logTerm) * sum)
  }

  /// Why k successes of n speak against a probability at the suite's level, or nil if they do not.
  public static func refutation(successes k: Int, of n: Int, probability p: Double) -> String? {
    FalseFailures.spend()
    let tail = binomialTail(k, of: n, probability: p, upper: Double(k) > Double(n) * p)
    guard !(2 * tail >= FalseFailures.perComparison) else { return nil }
    return "\(k) of \(n) against a probability of \(p): tail \(tail.shortest)"
  }

  /// How far the mean of n independent numbers may be from its expectation at the suite's level (Bernstein's
  /// inequality).
  ///
  /// - Parameters:
  ///   - variance: their variance.
  ///   - range: a bound on how far one of them is from the expectation.
  public static func meanDeviation(samples n: Int, variance: Double, range: Double) -> Double {
    FalseFailures.spend()
    let depth = log(2 / FalseFailures.perComparison)
    let linear = range * depth / (3 * Double(n))
    return linear + (linear * linear + 2 * variance * depth / Double(n)).squareRoot()
  }
}
