import RoutingCore

/// SparseMixer as published: ``FirstOrder`` where D is the most probable expert, ``Midpoint`` elsewhere.
///
/// The rule for the argmax is the main source of its bias on losses that are not affine along the ray.
///
/// *Source*: arXiv 2310.00811, section 3.4; microsoft/SparseMixer.
public struct SparseMixer: RayEstimator {
  public static let id = "sparsemixer"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .expectedLoss, exactness: .degree(1), order: 1, expertEvaluations: .constant(1),
      source: "arXiv 2310.00811, section 3.4")
  }

  public var rule: RayRule {
    RayRule(nodes: [1, 0.5], argmax: [.init(label: 1, weights: [2, 0])], others: Midpoint.coin)
  }
}
