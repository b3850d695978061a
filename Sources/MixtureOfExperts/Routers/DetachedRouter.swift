import RoutingCore

/// A router whose own loss is `Σ_i a_i p_i` with a given, whatever the experts learn: the expert's multiplier is detached.
///
/// p is the softmax of the logits without jitter, D the argmax of the jittered logits or a draw from p, `y = p_D f_D`. Experts and trunk
/// get the ordinary gradient, the logits `J(p) a`; a is handed to the layer's backward pass as the tokens' losses, `[tokens, experts]`.
/// With `extraShare`, that share of the tokens also has one further expert, drawn from p without D, evaluated forward and used
/// for nothing in the layer.
///
/// *Source*: docs/guides/training.md.
package struct DetachedRouter: TokenRouter {
  package static let id = "detached"

  /// How the expert is chosen.
  package enum Choice: Sendable, Equatable {
    /// The argmax of logits times U[1−r, 1+r].
    case jitteredArgmax(r: Double)
    /// A draw from p.
    case sample
  }

  /// How the expert is chosen.
  package let choice: Choice
  /// The share of tokens with a further expert.
  package let extraShare: Double

  package init(_ choice: Choice, extraShare: Double = 0) {
    self.choice = choice
    self.extraShare = extraShare
  }

  package func slots(experts: Int) -> Int { extraShare > 0 ? 2 : 1 }
  package func lossCount(experts: Int) -> Int { experts }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    let p = token.probabilities
    var chosen = token.softmax(of: token.logits, mask: .none, p: p, q: token.complements)
    if var generator = random {
      switch choice {
      case .jitteredArgmax(let r):
        for i in 0..<token.experts { token.scratch[i] = token.logits[i] * generator.jitter(r) }
        chosen = token.argmax(token.scratch)
      case .sample: chosen = token.draw(from: p, &generator)
      }
      if extraShare > 0 {
        token.fill(1, expert: -1, multiplier: 0)
        if generator.nextOpenUnit() < extraShare, token.experts > 1 {
          token.fill(1, expert: other(than: chosen, token, &generator), multiplier: 0)
        }
      }
      random = generator
    } else if extraShare > 0 {
      token.fill(1, expert: -1, multiplier: 0)
    }
    token.primary.pointee = Int32(chosen)
    token.fill(0, expert: chosen, multiplier: p[chosen])
  }

  /// A draw from p without one expert.
  private func other(than excluded: Int, _ token: TokenRoute, _ random: inout Philox) -> Int {
    let u = random.nextOpenUnit() * token.complements[excluded]
    var sum = 0.0
    var last = excluded == 0 ? 1 : 0
    for i in 0..<token.experts where i != excluded {
      sum += token.probabilities[i]
      last = i
      if u < sum { return i }
    }
    return last
  }

  package func differentiate(_ token: TokenRoute) {
    for i in 0..<token.experts { token.scratch[i] = token.losses[i] + token.probabilityGradient[i] }
    token.addJacobianProduct(token.scratch, p: token.probabilities)
  }
}

/// Switch whose gate value is halved with probability ½ for every token; the router's gradient doubled.
///
/// The midpoint rule without sampling, without mask and without exception for the argmax: no cost, at any depth.
///
/// *Source*: docs/guides/training.md.
package struct ArgmaxMidpointRouter: TokenRouter {
  package static let id = "argmax-midpoint"

  /// r of the jitter on the logits.
  package let jitter: Double

  package init(jitter: Double = 0.1) { self.jitter = jitter }

  /// The jitter of each logit.
  package func memory(experts: Int) -> Int { experts }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    JitteredArgmax.route(token, jitter: .logits(jitter), mask: .none, &random)
    if let u = random?.nextOpenUnit(), u < 0.5 {
      token.fill(0, expert: Int(token.choice[0]), multiplier: 0.5 * token.multiplier[0])
    }
  }

  package func differentiate(_ token: TokenRoute) {
    token.slopes[0] *= 2
    JitteredArgmax.differentiate(token)
  }

  package func differentiateDensely(_ token: TokenRoute, slopes: UnsafePointer<Double>) {
    JitteredArgmax.differentiateDensely(token, slopes: slopes)
  }
}
