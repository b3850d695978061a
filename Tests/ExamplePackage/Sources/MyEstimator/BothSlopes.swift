import RouteGrad

/// An estimator of our own: the slope in the middle of the chosen expert's ray for the routing term, and the slope at its
/// end for the gating term, both of them each time.
public struct BothSlopes: RayEstimator {
  public static let id = "both-slopes"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .expectedLoss, exactness: .degree(2), order: 2, expertEvaluations: .constant(2),
      source: "this package")
  }

  public var rule: RayRule { RayRule(nodes: [1, 0.5], others: [.init(weights: [1, 1])]) }
}
