import RoutingCore

/// One token's routing, in memory that the layer owns: what a router reads and writes.
///
/// Slots are the expert evaluations of a token. Slot s asks for expert `choice[s]`, whose output enters the layer's output
/// with `multiplier[s]`; going back, the gradient of the output reaches the expert with `backwardMultiplier[s]`, the same
/// number unless a router says otherwise.
///
/// Routing is done in Double whatever the layer computes in: it costs next to nothing, and both precisions take the same
/// decisions but for logits that differ by rounding.
package struct TokenRoute {
  /// N.
  package let experts: Int
  /// The number of slots.
  package let slots: Int
  /// θ, `[experts]`.
  package let logits: UnsafePointer<Double>
  /// p, `[experts]`: what the load-balancing loss averages.
  package let probabilities: UnsafeMutablePointer<Double>
  /// `1 − p`, `[experts]`.
  package let complements: UnsafeMutablePointer<Double>
  /// The expert of each slot, or −1: none, `[slots]`.
  package let choice: UnsafeMutablePointer<Int32>
  /// What the experts' outputs are multiplied by, `[slots]`.
  package let multiplier: UnsafeMutablePointer<Double>
  /// What the gradients are multiplied by that go back to the experts, `[slots]`.
  package let backwardMultiplier: UnsafeMutablePointer<Double>
  /// The expert that the load-balancing loss counts.
  package let primary: UnsafeMutablePointer<Int32>
  /// Numbers that the router keeps for the way back, `[memory(experts:)]`.
  package let memory: UnsafeMutablePointer<Double>
  /// Numbers that anybody may use and nobody keeps, `[4 experts]`.
  package let scratch: UnsafeMutablePointer<Double>

  // What is known on the way back.

  /// `∂L/∂multiplier`, `[slots]`; 0 where the slot was dropped.
  package let slopes: UnsafeMutablePointer<Double>
  /// Likewise of the stand-ins' multipliers, `[experts]`; all zero for routers without stand-ins.
  package let standInSlopes: UnsafeMutablePointer<Double>
  /// The token's loss, or what else the router asks for, in the units of its gradient, `[lossCount(experts:)]`; zeros where it
  /// was not given.
  package let losses: UnsafePointer<Double>
  /// The gradient by the probabilities themselves (load balancing), `[experts]`.
  package let probabilityGradient: UnsafePointer<Double>
  /// The result, `∂L/∂θ`, `[experts]`; zeros to begin with.
  package let gradient: UnsafeMutablePointer<Double>
}

// MARK: - Softmax

extension TokenRoute {
  /// Makes `p` the softmax of `logits` over the experts that a mask keeps, `q = 1 − p`, and returns the most probable one.
  ///
  /// - Parameters:
  ///   - logits: what the softmax is of, `[experts]`.
  ///   - mask: the mask; it looks at the layer's logits.
  ///   - excluded: an expert that may not be drawn, or nil.
  ///   - p: room for the softmax, 0 outside the mask.
  ///   - q: room for its complement.
  func softmax(
    of logits: UnsafePointer<Double>, mask: Mask, excluding excluded: Int? = nil,
    p: UnsafeMutablePointer<Double>, q: UnsafeMutablePointer<Double>
  ) -> Int {
    guard mask != .none || excluded != nil else { return softmaxKernel(experts, logits, p, q) }
    var largest = -Double.infinity
    for j in 0..<experts where j != excluded { largest = max(largest, self.logits[j]) }
    // The kept ones side by side, and their softmax in their place afterwards, from the right.
    let kept = scratch + experts
    var count = 0
    for j in 0..<experts where j != excluded && mask.keeps(self.logits[j], largest: largest) {
      kept[count] = logits[j]
      count += 1
    }
    let top = softmaxKernel(count, kept, p, q)
    var place = count - 1
    var argmax = 0
    for j in stride(from: experts - 1, through: 0, by: -1) {
      let isKept = j != excluded && mask.keeps(self.logits[j], largest: largest)
      if isKept, place == top { argmax = j }
      p[j] = isKept ? p[place] : 0
      q[j] = isKept ? q[place] : 1
      if isKept { place -= 1 }
    }
    return argmax
  }

  /// The first index of the largest of `values`.
  func argmax(_ values: UnsafePointer<Double>) -> Int {
    var best = 0
    for j in 1..<max(experts, 1) where values[j] > values[best] { best = j }
    return best
  }

  /// An expert drawn from p.
  func draw(from p: UnsafePointer<Double>, _ random: inout Philox) -> Int {
    let u = random.nextOpenUnit()
    var sum = 0.0
    var last = 0
    for j in 0..<experts where p[j] > 0 {
      sum += p[j]
      last = j
      if u < sum { return j }
    }
    return last
  }

  /// Adds `weight · (I_choice − p)` to the gradient.
  func addScore(
    _ weight: Double, choice: Int, p: UnsafePointer<Double>, q: UnsafePointer<Double>
  ) {
    for k in 0..<experts where k != choice { gradient[k] -= weight * p[k] }
    gradient[choice] += weight * q[choice]
  }

  /// Adds `J(p) w` to the gradient.
  func addJacobianProduct(_ w: UnsafePointer<Double>, p: UnsafePointer<Double>) {
    var centre = 0
    for k in 1..<max(experts, 1) where p[k] > p[centre] { centre = k }
    var mean = 0.0
    for k in 0..<experts { mean += p[k] * (w[k] - w[centre]) }
    for k in 0..<experts { gradient[k] += p[k] * ((w[k] - w[centre]) - mean) }
  }

  /// Fills slot `s`.
  func fill(_ s: Int, expert: Int, multiplier m: Double, backward: Double? = nil) {
    choice[s] = Int32(expert)
    multiplier[s] = m
    backwardMultiplier[s] = backward ?? m
  }
}
