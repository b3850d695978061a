import RoutingCore
import RoutingEstimators

/// What the gradient of a token's logits is a sample of, for routers whose law can be stated token by token.
enum GradientLaw: Sendable {
  /// A draw from the softmax over a mask, and the rule's coin.
  case rule(RayRule, Mask)
  /// Any estimator with finitely many outcomes.
  case estimator(any FiniteOutcomeEstimator, Mask)
  /// REINFORCE with a baseline in the units of the batch's mean loss.
  case reinforce(baseline: Double, Mask)
  /// The argmax of jittered logits, differentiated as it stands; with the coin the gate is halved with probability ½ and the
  /// gradient doubled.
  case jitteredArgmax(r: Double, hasCoin: Bool, Mask)
  /// `J(p) a`: an argmax of jittered logits says at which expert a is exact; nil: at every one, whatever is chosen.
  case detached(r: Double?)
  /// Zero, whatever is drawn.
  case silent
  /// None: routing is joint over the batch, has its own expected loss, or moves with the batch.
  case unknown
}
