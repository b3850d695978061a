import RoutingCore

/// REINFORCE: an expert drawn from the masked softmax, gradient `(G(y) − b)(I_D − p)` plus the gating sample. Unbiased for
/// the expected loss; needs each token's own loss on the way back.
///
/// *Source*: R. J. Williams, Machine Learning 8 (1992).
package struct ReinforceRouter: TokenRouter {
  package static let id = "reinforce"

  /// The mask.
  package let mask: Mask
  /// b, in the units of the losses handed to the way back.
  package let baseline: Double

  package init(mask: Mask = .none, baseline: Double = 0) {
    self.mask = mask
    self.baseline = baseline
  }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    let p = token.probabilities
    let top = token.softmax(of: token.logits, mask: mask, p: p, q: token.complements)
    let choice = random == nil ? top : random.drawn { token.draw(from: p, &$0) }
    token.primary.pointee = Int32(choice)
    token.fill(0, expert: choice, multiplier: p[choice])
  }

  package func differentiate(_ token: TokenRoute) {
    let p = token.probabilities
    let choice = Int(token.primary.pointee)
    let weight = (token.losses[0] - baseline) + token.slopes[0] * p[choice]
    token.addScore(weight, choice: choice, p: p, q: token.complements)
    token.addJacobianProduct(token.probabilityGradient, p: p)
  }
}
