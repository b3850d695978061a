import Foundation
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

/// A router of our own: top-1 of a softmax.
public enum MyRouter {
  /// The gate of one token and its derivative along a slope.
  public static func route(logits: [Double], slopes: [Double]) -> (choice: Int, gate: Double, gradient: [Double]) {
    let top = logits.max() ?? 0
    let weights = logits.map { exp($0 - top) }
    let total = weights.reduce(0, +)
    let p = weights.map { $0 / total }
    let choice = logits.firstIndex(of: top) ?? 0
    return (choice, p[choice], p.indices.map { slopes[choice] * p[choice] * (($0 == choice ? 1 : 0) - p[$0]) })
  }
}
