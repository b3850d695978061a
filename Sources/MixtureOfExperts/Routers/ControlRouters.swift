import RoutingCore

/// A control: Switch whose logits get nothing of the loss. Forward, experts and trunk are Switch's, `y = p_D f_D`, p_D constant on the way back;
/// only auxiliary losses (load balance, z-loss) train the router.
///
/// Where training with it loses nothing, no estimator of the router's gradient can gain anything.
package struct LossFreeRouter: JitteredRouter {
  package static let id = "none"

  /// What the jitter multiplies, and by how much.
  package let jitter: SwitchRouter.Jitter

  package init(jitter: SwitchRouter.Jitter = .logits(0.1)) { self.jitter = jitter }

  package func differentiate(_ token: TokenRoute) {
    token.slopes[0] = 0
    JitteredArgmax.differentiate(token)
  }
}

/// A control: Switch whose gate has the value 1, `m = p_D / stop(p_D)`, so that no output is shortened: the logits get
/// `(G'·f_D) (I_D − p) ⊙ u`, p the softmax of the jittered logits. What it gains on Switch is not the estimator's.
package struct GateOneRouter: JitteredRouter {
  package static let id = "gate-one"

  /// What the jitter multiplies, and by how much.
  package let jitter: SwitchRouter.Jitter

  package init(jitter: SwitchRouter.Jitter = .logits(0.1)) { self.jitter = jitter }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    JitteredArgmax.route(token, jitter: jitter, mask: mask, &random)
    token.fill(0, expert: Int(token.choice[0]), multiplier: 1)
  }

  package func differentiate(_ token: TokenRoute) {
    let p = token.probabilities
    token.addScore(token.slopes[0], choice: Int(token.primary.pointee), p: p, q: token.complements)
    token.addJacobianProduct(token.probabilityGradient, p: p)
    for i in 0..<token.experts { token.gradient[i] *= token.memory[i] }
  }

  /// `u ⊙ Σ_i c_i (e_i − p')`: the gate that an expert has, or would have, has the derivative of its log probability.
  package func differentiateDensely(_ token: TokenRoute, slopes: UnsafePointer<Double>) {
    var sum = 0.0
    for i in 0..<token.experts { sum += slopes[i] }
    for i in 0..<token.experts {
      token.gradient[i] += slopes[i] - sum * token.probabilities[i]
      token.gradient[i] *= token.memory[i]
    }
  }
}
