import RoutingCore
import RoutingEstimators

/// What is known of a token's gradient when its other experts have been tried: of routers that take one expert, whose output is multiplied
/// by its probability, times what a coin says.
enum ContrastLaw: Sendable {
  /// A draw from the softmax over a mask, and the rule's coin.
  case rule(RayRule, Mask)
  /// REINFORCE with a baseline in the units of the losses on the way back.
  case reinforce(baseline: Double, Mask)
  /// A draw, and the slopes of all experts' outputs.
  case dense
  /// An argmax of jittered logits, of which there is the draw that was made; whether the gradient is the loss's own.
  case drawn(isPlain: Bool, Mask)

  /// What the outputs of experts are shortened to.
  var nodes: [Double] {
    guard case .rule(let rule, _) = self else { return [1] }
    return rule.nodes.contains(1) ? rule.nodes : rule.nodes + [1]
  }

  /// Under which the expert is drawn in the expected loss.
  var mask: Mask {
    switch self {
    case .rule(_, let mask), .reinforce(_, let mask), .drawn(_, let mask): mask
    case .dense: .none
    }
  }

  /// Whether the loss has to be differentiated on its own: where training hands something else back through layers above.
  func needsHeld(layer: Int, layers: Int) -> Bool {
    if case .drawn(true, _) = self { return false }
    return layer < layers - 1
  }

  /// The passes that a token takes at most.
  func passes(experts: Int, layer: Int, layers: Int) -> Int {
    1 + experts * nodes.count + (needsHeld(layer: layer, layers: layers) ? 1 + experts : 0)
  }
}

extension GradientLaw {
  /// Nil for routers whose experts cannot be tried one by one.
  var contrast: ContrastLaw? {
    switch self {
    case .rule(let rule, let mask): .rule(rule, mask)
    case .reinforce(let baseline, let mask): .reinforce(baseline: baseline, mask)
    case .estimator(let estimator, _): estimator is DenseBackward ? .dense : nil
    case .jitteredArgmax(_, let hasCoin, let mask): .drawn(isPlain: !hasCoin, mask)
    case .silent: .drawn(isPlain: false, .none)
    case .detached, .unknown: nil
    }
  }
}
