import CStandardLibrary

/// Tests choices against claimed probabilities while they come in.
///
/// The likelihood ratio of a Dirichlet mixture against the claim, a martingale of mean 1 if the claim is true:
/// ```
/// E_n = [Γ(A)/Γ(A + n)] Π_k [Γ(a_k + n_k)/Γ(a_k)] / p_k^{n_k},   E_{n+1}/E_n = (a_k + n_k)/((A + n) p_k),
/// ```
/// with k the outcome that comes up, `A = Σ a`. The prior is Jeffreys', `a_k = ½`. An outcome of probability 0, or one that
/// is not in the list, refutes at once.
///
/// *Numerics*: factors are multiplied, the logarithm is taken where the product leaves [2⁻⁵⁰⁰, 2⁵⁰⁰].
///
/// *Source*: J. Ville 1939 for the bound `P(sup E ≥ 1/α) ≤ α`; Lindon, Malek, "Anytime-valid inference for multinomial count
/// data", NeurIPS 2022, arXiv 2011.03567.
package struct ChoiceFrequencyTest: Sendable {
  /// p, by outcome.
  package let probabilities: [Double]
  /// How often each outcome came up.
  package private(set) var counts: [Int]
  /// The number of choices so far.
  package private(set) var count = 0
  private var logarithm = 0.0
  private var product = 1.0

  /// a, the same for every outcome.
  static let prior = 0.5

  /// Prepares to test.
  ///
  /// - Parameter probabilities: of the outcomes, at least one; they sum to 1.
  package init(probabilities: [Double]) {
    precondition(!probabilities.isEmpty, "choices have at least one outcome")
    precondition(
      probabilities.allSatisfy { $0 >= 0 && $0 <= 1 }, "probabilities lie between 0 and 1")
    self.probabilities = probabilities
    counts = [Int](repeating: 0, count: probabilities.count)
  }

  /// The logarithm of the e-value: infinite after an outcome of probability 0.
  package var logEValue: Double { logarithm + log(product) }

  /// Adds a choice.
  ///
  /// - Parameter outcome: which, an index of ``probabilities``.
  /// - Complexity: O(1).
  package mutating func add(_ outcome: Int) {
    let p = probabilities[outcome]
    let total = Self.prior * Double(probabilities.count)
    if p > 0 {
      product *= (Self.prior + Double(counts[outcome])) / ((total + Double(count)) * p)
    } else {
      logarithm = .infinity
    }
    counts[outcome] += 1
    count += 1
    if !(product > 0x1p-500 && product < 0x1p500) {
      logarithm += log(product)
      product = 1
    }
  }
}
