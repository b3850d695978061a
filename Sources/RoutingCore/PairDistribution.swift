/// Two experts drawn without replacement: i from π, then j from the softmax π' over the experts left.
///
/// The second draw's mask uses the maximum of the logits left and the magnitudes of all of them, and ignores the first
/// draw's mask, as the published code does.
///
/// *Source*: arXiv 2409.12136 (GRIN); transformers' Phi-MoE `sparsemixer`.
package struct PairDistribution: Sendable {
  /// π.
  package let first: RoutingDistribution
  /// π', by the first draw.
  package let second: [Int: RoutingDistribution]

  /// The two draws of a problem.
  ///
  /// - Throws: ``Unavailable`` with fewer than two experts.
  package init(_ problem: RoutedProblem) throws(Unavailable) {
    guard problem.experts >= 2 else { throw Unavailable("needs two experts") }
    let logits = problem.problem.logits
    first = problem.distribution
    var second: [Int: RoutingDistribution] = [:]
    for i in first.support {
      second[i] = RoutingDistribution(logits: logits, mask: problem.mask, excluding: i)
    }
    self.second = second
  }

  /// `π_i π'_j`.
  package func probability(_ i: Int, _ j: Int) -> Double {
    first.probabilities[i] * (second[i]?.probabilities[j] ?? 0)
  }
}
