import RoutingCore

/// SparseMixer's midpoint rule: a fair coin between the slope at half the output and at the full one, each doubled.
///
/// Heads (coin 0) the forward pass sees `½ π_D f_D`, tails (coin 1) `π_D f_D`; the mean is the midpoint rule for `∇₀` plus
/// `∇₁`.
///
/// *Source*: arXiv 2310.00811, section 3.3 (SparseMixer-2nd).
public struct Midpoint: RayEstimator {
  public static let id = "midpoint"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .expectedLoss, exactness: .degree(2), order: 2, expertEvaluations: .constant(1),
      source: "arXiv 2310.00811, section 3.3")
  }

  public var rule: RayRule { RayRule(nodes: [1, 0.5], others: Self.coin) }

  /// The two sides, for the nodes 1 and ½.
  static let coin: [RayRule.Side] = [
    .init(label: 0, probability: 0.5, weights: [0, 2], output: 0.5),
    .init(label: 1, probability: 0.5, weights: [2, 0]),
  ]
}
