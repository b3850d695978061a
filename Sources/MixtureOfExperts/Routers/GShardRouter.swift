import RoutingCore

/// GShard's top-2: the two most probable experts with gates renormalised over the two, `g₁ = p_a/(p_a + p_b)` and `g₂`; the
/// second is kept with probability `min(1, 2 g₂)`, and always at evaluation. The gradient is that of the gates.
///
/// With a capacity, all first choices come before all second ones. One expert alone has gate 1.
///
/// *Source*: arXiv 2006.16668, algorithm 1.
package struct GShardRouter: TokenRouter {
  package static let id = "gshard"

  package init() {}

  package func slots(experts: Int) -> Int { min(2, experts) }
  /// a, b, g₁, g₂.
  package func memory(experts: Int) -> Int { 4 }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    let p = token.probabilities
    let a = token.softmax(of: token.logits, mask: .none, p: p, q: token.complements)
    token.primary.pointee = Int32(a)
    token.memory[0] = Double(a)
    guard token.slots == 2 else {
      token.fill(0, expert: a, multiplier: 1)
      return
    }
    var b = a == 0 ? 1 : 0
    for i in 0..<token.experts where i != a && token.logits[i] > token.logits[b] { b = i }
    let g2 = p[b] / (p[a] + p[b])
    let g1 = p[a] / (p[a] + p[b])
    token.memory[1] = Double(b)
    token.memory[2] = g1
    token.memory[3] = g2
    token.fill(0, expert: a, multiplier: g1)
    let isKept = random == nil || random.drawn { $0.nextOpenUnit() } < 2 * g2
    token.fill(1, expert: isKept ? b : -1, multiplier: isKept ? g2 : 0)
  }

  package func differentiate(_ token: TokenRoute) {
    if token.slots == 2 {
      // g₁ = σ(θ_a − θ_b): ∂g₁ = g₁ g₂ (∂θ_a − ∂θ_b) = −∂g₂.
      let slope = token.memory[2] * token.memory[3] * (token.slopes[0] - token.slopes[1])
      token.gradient[Int(token.memory[0])] += slope
      token.gradient[Int(token.memory[1])] -= slope
    }
    token.addJacobianProduct(token.probabilityGradient, p: token.probabilities)
  }

  /// The gates of the two as above; the others' are `p_i/(p_a + p_b)` with the divisor held, as if each were added to the sum without a
  /// new division (DenseMixer's form).
  package func differentiateDensely(_ token: TokenRoute, slopes: UnsafePointer<Double>) {
    guard token.slots == 2 else { return }
    let (a, b) = (Int(token.memory[0]), Int(token.memory[1]))
    let total = token.probabilities[a] + token.probabilities[b]
    for i in 0..<token.experts { token.scratch[i] = i == a || i == b ? 0 : slopes[i] / total }
    token.addJacobianProduct(token.scratch, p: token.probabilities)
    let slope = token.memory[2] * token.memory[3] * (slopes[a] - slopes[b])
    token.gradient[a] += slope
    token.gradient[b] -= slope
  }
}
