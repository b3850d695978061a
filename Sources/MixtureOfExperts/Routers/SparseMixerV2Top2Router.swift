import RoutingCore
import RoutingEstimators

/// SparseMixer-v2 with two experts: the second is drawn like the first from the softmax over those left, its mask going by
/// the largest logit left; `y = c₁ p_i f_i + c₂ p'_j f_j`.
///
/// The load-balancing loss sees the first draw.
///
/// *Source*: arXiv 2409.12136 (GRIN); transformers' Phi-MoE.
package struct SparseMixerV2Top2Router: TokenRouter {
  package static let id = "sparsemixer-v2-top2"

  /// The mask.
  package let mask: Mask
  private let coins: RayCoins

  /// As for ``SparseMixerV2Router``.
  package init(
    mask: Mask = .referenceCode(threshold: 0.1), argmaxRule: Bool = true, referenceConstants: Bool = false
  ) {
    self.mask = mask
    coins = RayCoins(SparseMixerV2(referenceConstants: referenceConstants).rule(withArgmaxRule: argmaxRule))
  }

  package func slots(experts: Int) -> Int { 2 }

  /// The two weights, the second choice, p' and 1 − p'.
  package func memory(experts: Int) -> Int { 3 + 2 * experts }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    precondition(token.experts >= 2, "two experts are drawn, there are \(token.experts)")
    let p = token.probabilities
    var first = token.softmax(of: token.logits, mask: mask, p: p, q: token.complements)
    let side = draw(token, slot: 0, top: &first, p: p, &random)
    token.primary.pointee = Int32(first)
    let rest = token.memory + 3
    var second = token.softmax(
      of: token.logits, mask: mask, excluding: first, p: rest, q: rest + token.experts)
    let other = draw(token, slot: 1, top: &second, p: rest, &random)
    token.memory[0] = side
    token.memory[1] = other
    token.memory[2] = Double(second)
  }

  /// Draws an expert into a slot; gives the weight of its slope, and in `top` the expert.
  private func draw(
    _ token: TokenRoute, slot: Int, top: inout Int, p: UnsafePointer<Double>, _ random: inout Philox?
  ) -> Double {
    let choice = random == nil ? top : random.drawn { token.draw(from: p, &$0) }
    let side = coins.toss(isArgmax: choice == top, &random)
    token.fill(slot, expert: choice, multiplier: p[choice] * side.output)
    top = choice
    return side.weight
  }

  package func differentiate(_ token: TokenRoute) {
    let p = token.probabilities
    let rest = token.memory + 3
    let (i, j) = (Int(token.primary.pointee), Int(token.memory[2]))
    token.addScore(token.memory[0] * token.slopes[0] * p[i], choice: i, p: p, q: token.complements)
    token.addScore(
      token.memory[1] * token.slopes[1] * rest[j], choice: j, p: rest, q: rest + token.experts)
    token.addJacobianProduct(token.probabilityGradient, p: p)
  }

  /// Of each draw over what it could have drawn, `J(p) c + J(p') c`.
  package func differentiateDensely(_ token: TokenRoute, slopes: UnsafePointer<Double>) {
    token.addJacobianProduct(slopes, p: token.probabilities)
    token.addJacobianProduct(slopes, p: token.memory + 3)
  }
}
