import RoutingCore
import RoutingEstimators

/// A router whose gradient is a ``RayRule`` that evaluates one node: the expert is drawn from the masked softmax, a coin
/// decides by how much its output is shortened, and the loss's slope there is weighed. The rule is the estimator's own, so
/// layer and estimator cannot differ.
package protocol RayRouter: TokenRouter {
  /// The mask.
  var mask: Mask { get }
  /// What the rule does, side by side.
  var coins: RayCoins { get }
}

/// The sides of a ``RayRule``'s coins, of which each evaluates one node.
package struct RayCoins: Sendable, Equatable {
  /// One side.
  struct Side: Sendable, Equatable {
    var probability: Double
    /// The weight of the slope.
    var weight: Double
    /// What shortens the output.
    var output: Double
  }

  let argmax: [Side]
  let others: [Side]

  /// The sides of a rule.
  ///
  /// - Precondition: each side weighs the slope at its own output and no other.
  package init(_ rule: RayRule) {
    func sides(_ sides: [RayRule.Side]) -> [Side] {
      sides.map { side in
        let evaluated = rule.nodes.indices.filter { side.weights[$0] != 0 }
        precondition(
          evaluated.count == 1 && rule.nodes[evaluated[0]] == side.output,
          "a router evaluates one node a side, got \(evaluated.map { rule.nodes[$0] }) for the output \(side.output)")
        return Side(probability: side.probability, weight: side.weights[evaluated[0]], output: side.output)
      }
    }
    argmax = sides(rule.argmax)
    others = sides(rule.others)
  }

  /// The full output at evaluation.
  func toss(isArgmax: Bool, _ random: inout Philox?) -> (weight: Double, output: Double) {
    let sides = isArgmax ? argmax : others
    guard random != nil else { return (0, 1) }
    guard sides.count > 1, let u = random?.nextOpenUnit() else { return (sides[0].weight, sides[0].output) }
    var sum = 0.0
    for side in sides {
      sum += side.probability
      if u < sum { return (side.weight, side.output) }
    }
    let last = sides[sides.count - 1]
    return (last.weight, last.output)
  }
}

extension RayRouter {
  /// The weight of the slope.
  package func memory(experts: Int) -> Int { 1 }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    let p = token.probabilities
    let top = token.softmax(of: token.logits, mask: mask, p: p, q: token.complements)
    let choice = random == nil ? top : random.drawn { token.draw(from: p, &$0) }
    let side = coins.toss(isArgmax: choice == top, &random)
    token.memory[0] = side.weight
    token.primary.pointee = Int32(choice)
    token.fill(0, expert: choice, multiplier: p[choice] * side.output)
  }

  package func differentiate(_ token: TokenRoute) {
    let p = token.probabilities
    let choice = Int(token.primary.pointee)
    token.addScore(token.memory[0] * token.slopes[0] * p[choice], choice: choice, p: p, q: token.complements)
    token.addJacobianProduct(token.probabilityGradient, p: p)
  }
}

extension Optional where Wrapped == Philox {
  /// What `body` makes of the generator.
  ///
  /// - Precondition: there is one.
  mutating func drawn<Result>(_ body: (inout Philox) -> Result) -> Result {
    guard var random = self else { preconditionFailure("a draw needs a generator") }
    defer { self = random }
    return body(&random)
  }
}
