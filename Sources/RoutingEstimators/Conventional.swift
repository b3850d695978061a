import RoutingCore

/// What Switch and GShard training does: the gradient through the gate's multiplier alone,
/// `ĝ = (G'(π_D f_D)·f_D) ∂π_D`.
///
/// Its mean is `∇₁`, and against `∇₀ + ∇₁` it is the first-order rule at half scale.
///
/// *Source*: arXiv 2101.03961 (Switch), arXiv 2006.16668 (GShard).
public struct Conventional: RayEstimator {
  public static let id = "conventional"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .gatingTerm, exactness: .all, expertEvaluations: .constant(1),
      source: "arXiv 2101.03961")
  }

  public var rule: RayRule { RayRule(nodes: [1], others: [.init(weights: [1])]) }
}

extension Conventional: ChoiceEstimator {
  package var choiceRule: ChoiceRule { .sparse }
}
