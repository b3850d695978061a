import RoutingCore

/// Sparse forward, dense backward: `y = p_D f_D`, differentiated as if it were `Σ_i p_i f_i`: the router gets
/// `J(p) [G'(y)·f_i]_i`, and every expert the gradient `p_i G'(y)`. All experts are evaluated.
///
/// *Source*: arXiv 2504.12463 (the straight-through form); DenseMixer.
package struct DenseBackwardRouter: TokenRouter {
  package static let id = "dense-backward"

  /// The mask.
  package let mask: Mask

  package init(mask: Mask = .none) { self.mask = mask }

  package func slots(experts: Int) -> Int { experts }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    let p = token.probabilities
    let top = token.softmax(of: token.logits, mask: mask, p: p, q: token.complements)
    let choice = random == nil ? top : random.drawn { token.draw(from: p, &$0) }
    token.primary.pointee = Int32(choice)
    for i in 0..<token.experts {
      token.fill(i, expert: p[i] > 0 ? i : -1, multiplier: i == choice ? p[i] : 0, backward: p[i])
    }
  }

  package func differentiate(_ token: TokenRoute) {
    for i in 0..<token.experts { token.scratch[i] = token.slopes[i] + token.probabilityGradient[i] }
    token.addJacobianProduct(token.scratch, p: token.probabilities)
  }
}

/// Every expert and the exact gradient of the expected loss, `J(p) [G_i + p_i G'(p_i f_i)·f_i]_i`: the ceiling for all
/// others. The layer has one output for each expert, `p_i f_i`, on which the loss is evaluated; so it needs a loss that is
/// separable by token.
package struct ExactRouter: TokenRouter {
  package static let id = "exact"

  /// The mask.
  package let mask: Mask

  package init(mask: Mask = .none) { self.mask = mask }

  package func slots(experts: Int) -> Int { experts }
  package func candidates(experts: Int) -> Int { experts }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    let p = token.probabilities
    token.primary.pointee = Int32(
      token.softmax(of: token.logits, mask: mask, p: p, q: token.complements))
    for i in 0..<token.experts {
      token.fill(i, expert: p[i] > 0 ? i : -1, multiplier: p[i], backward: p[i] * p[i])
    }
  }

  package func differentiate(_ token: TokenRoute) {
    let p = token.probabilities
    for i in 0..<token.experts {
      token.scratch[i] = token.losses[i] + p[i] * token.slopes[i] + token.probabilityGradient[i]
    }
    token.addJacobianProduct(token.scratch, p: p)
  }
}

/// Default MoE: the k most probable experts, stand-ins for the others, back-propagated densely:
/// `y = Σ_{i∈A} p_i f_i + Σ_{i∉A} p_i m_i`. The layer keeps the stand-ins m, running means of the experts' outputs, and
/// brings them up to date with a step's own outputs before they are used.
///
/// *Source*: arXiv 2504.12463, equations 10 and 11.
package struct DefaultMoERouter: TokenRouter {
  package static let id = "default-moe"

  /// k.
  package let k: Int
  /// What is kept of the running means at each step.
  package let decay: Double

  package init(k: Int = 1, decay: Double = 0.999) {
    precondition(k >= 1 && decay >= 0 && decay < 1, "k is at least 1 and 0 ≤ decay < 1, got \(k) and \(decay)")
    self.k = k
    self.decay = decay
  }

  package var standInDecay: Double? { decay }
  package func slots(experts: Int) -> Int { min(k, experts) }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    let p = token.probabilities
    let top = token.softmax(of: token.logits, mask: .none, p: p, q: token.complements)
    token.primary.pointee = Int32(top)
    let isTaken = token.scratch
    for i in 0..<token.experts { isTaken[i] = 0 }
    for s in 0..<token.slots {
      var best = -1
      for i in 0..<token.experts where isTaken[i] == 0 && (best < 0 || token.logits[i] > token.logits[best]) {
        best = i
      }
      isTaken[best] = 1
      token.fill(s, expert: best, multiplier: p[best])
    }
  }

  package func differentiate(_ token: TokenRoute) {
    let w = token.scratch
    for i in 0..<token.experts { w[i] = token.standInSlopes[i] + token.probabilityGradient[i] }
    for s in 0..<token.slots where token.choice[s] >= 0 {
      let i = Int(token.choice[s])
      w[i] = token.slopes[s] + token.probabilityGradient[i]
    }
    token.addJacobianProduct(w, p: token.probabilities)
  }
}
