import RoutingCore

/// SparseMixer's first-order rule, `ĝ = 2 (G'(π_D f_D)·f_D) ∂π_D`: forward Euler for `∇₀`, and `∇₁`.
///
/// *Source*: arXiv 2310.00811, section 3.2 (SparseMixer-1st).
public struct FirstOrder: RayEstimator {
  public static let id = "first-order"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .expectedLoss, exactness: .degree(1), order: 1, expertEvaluations: .constant(1),
      source: "arXiv 2310.00811, section 3.2")
  }

  public var rule: RayRule { RayRule(nodes: [1], others: [.init(weights: [2])]) }
}
