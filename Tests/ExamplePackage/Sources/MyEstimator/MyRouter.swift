import Foundation

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
