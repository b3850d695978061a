import RoutingCore
import RoutingEstimators

/// SparseMixer: an expert drawn from the masked softmax; unless it is the most probable one, its output is halved with
/// probability ½; gradient doubled.
///
/// *Source*: arXiv 2310.00811; microsoft/SparseMixer.
package struct SparseMixerRouter: RayRouter {
  package static let id = "sparsemixer"

  package let mask: Mask
  package let coins: RayCoins

  /// - Parameters:
  ///   - mask: the mask.
  ///   - argmaxRule: whether the most probable expert always gives its full output, as published; without, the midpoint
  ///     rule holds for all.
  package init(mask: Mask = .referenceCode(threshold: 0.1), argmaxRule: Bool = true) {
    self.init(mask: mask, rule: argmaxRule ? SparseMixer().rule : Midpoint().rule)
  }

  /// Another rule that evaluates one node, such as the first-order rule.
  package init(mask: Mask, rule: RayRule) {
    self.mask = mask
    coins = RayCoins(rule)
  }
}

/// SparseMixer-v2 with one expert: unless it is the most probable one, its output is shortened to a third with
/// probability ¾.
///
/// *Source*: arXiv 2409.12136 (GRIN).
package struct SparseMixerV2Router: RayRouter {
  package static let id = "sparsemixer-v2"

  package let mask: Mask
  package let coins: RayCoins
  /// What the coins toss for.
  package let rule: RayRule

  /// - Parameters:
  ///   - mask: the mask.
  ///   - argmaxRule: as for ``SparseMixerRouter``.
  ///   - referenceConstants: whether ⅓ is Float32(0.3333), as in the published code.
  package init(
    mask: Mask = .referenceCode(threshold: 0.1), argmaxRule: Bool = true, referenceConstants: Bool = false
  ) {
    self.mask = mask
    rule = SparseMixerV2(referenceConstants: referenceConstants).rule(withArgmaxRule: argmaxRule)
    coins = RayCoins(rule)
  }
}

extension SparseMixerV2 {
  /// The rule, or the same coin for every expert.
  func rule(withArgmaxRule: Bool) -> RayRule {
    withArgmaxRule ? rule : RayRule(nodes: rule.nodes, others: rule.others)
  }
}
