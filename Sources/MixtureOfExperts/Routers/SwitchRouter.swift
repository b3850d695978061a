import RoutingCore

/// Switch routing: `D = argmax θ'` of jittered logits `θ' = θ ⊙ u`, u_i ~ U[1−r, 1+r]; multiplier `softmax(θ')_D`, and the
/// gradient that automatic differentiation gives: `(G'·f_D) p_D (I_D − p) ⊙ u`.
///
/// The jitter acts on the logits (arXiv 2310.00811's baseline) or on the router's input (Hugging Face's Switch), where
/// the layer applies it. With a mask (``MaskedSwitchRouter``) the softmax is over the experts kept.
///
/// *Source*: arXiv 2101.03961.
package struct SwitchRouter: JitteredRouter {
  package static let id = "switch"

  /// What the jitter multiplies.
  package enum Jitter: Sendable, Equatable {
    case none
    case logits(Double)
    case input(Double)
  }

  /// What the jitter multiplies, and by how much.
  package let jitter: Jitter

  package init(jitter: Jitter = .logits(0.1)) { self.jitter = jitter }
}

/// Switch routing with SparseMixer's mask inside the softmax: argmax and jitter as before, automatic differentiation, the
/// mask (of the logits without jitter) held constant.
package struct MaskedSwitchRouter: JitteredRouter {
  package static let id = "masked-switch"

  /// What the jitter multiplies, and by how much.
  package let jitter: SwitchRouter.Jitter
  /// The mask.
  package let mask: Mask

  package init(jitter: SwitchRouter.Jitter = .logits(0.1), mask: Mask = .referenceCode(threshold: 0.1)) {
    self.jitter = jitter
    self.mask = mask
  }
}

/// A router by the argmax of jittered logits, with Switch's way there and back unless it has its own.
package protocol JitteredRouter: TokenRouter {
  /// What the jitter multiplies, and by how much.
  var jitter: SwitchRouter.Jitter { get }
  /// The mask inside the softmax.
  var mask: Mask { get }
}

extension JitteredRouter {
  package var mask: Mask { .none }

  package var inputJitter: Double { if case .input(let r) = jitter { r } else { 0 } }

  package func memory(experts: Int) -> Int { experts }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    JitteredArgmax.route(token, jitter: jitter, mask: mask, &random)
  }

  package func differentiate(_ token: TokenRoute) { JitteredArgmax.differentiate(token) }

  package func differentiateDensely(_ token: TokenRoute, slopes: UnsafePointer<Double>) {
    JitteredArgmax.differentiateDensely(token, slopes: slopes)
  }
}

/// What they have in common; the memory holds u.
enum JitteredArgmax {
  static func route(
    _ token: TokenRoute, jitter: SwitchRouter.Jitter, mask: Mask, _ random: inout Philox?
  ) {
    let jittered = token.scratch
    for i in 0..<token.experts {
      var factor = 1.0
      if case .logits(let r) = jitter, r > 0 {
        factor = random?.jitter(r) ?? 1
      }
      token.memory[i] = factor
      jittered[i] = token.logits[i] * factor
    }
    let top = token.softmax(of: jittered, mask: mask, p: token.probabilities, q: token.complements)
    token.primary.pointee = Int32(top)
    token.fill(0, expert: top, multiplier: token.probabilities[top])
  }

  static func differentiate(_ token: TokenRoute) {
    let p = token.probabilities
    let top = Int(token.primary.pointee)
    token.addScore(token.slopes[0] * p[top], choice: top, p: p, q: token.complements)
    token.addJacobianProduct(token.probabilityGradient, p: p)
    for i in 0..<token.experts { token.gradient[i] *= token.memory[i] }
  }

  /// `u ⊙ J(p') c`.
  static func differentiateDensely(_ token: TokenRoute, slopes: UnsafePointer<Double>) {
    token.addJacobianProduct(slopes, p: token.probabilities)
    for i in 0..<token.experts { token.gradient[i] *= token.memory[i] }
  }
}

extension Philox {
  /// A factor from U[1−r, 1+r].
  mutating func jitter(_ r: Double) -> Double { 1 + r * (2 * nextOpenUnit() - 1) }
}
