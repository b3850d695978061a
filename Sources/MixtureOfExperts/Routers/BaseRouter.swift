import CStandardLibrary
import RoutingCore

/// BASE layers: tokens are assigned to experts so that the sum of their logits is largest and loads differ by at most one
/// (``BalancedAssignment``); multiplier `σ(θ_D)`. At evaluation each token takes its best expert.
///
/// *Source*: arXiv 2103.16716.
package struct BaseRouter: TokenRouter {
  package static let id = "base"

  package init() {}

  package var decidesJointly: Bool { true }

  package func assign(
    _ logits: UnsafePointer<Double>, tokens: Int, experts: Int, to choices: UnsafeMutablePointer<Int32>
  ) throws(Refusal) {
    try BalancedAssignment.solve(logits, tokens: tokens, experts: experts, choices: choices)
  }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    let top = token.softmax(of: token.logits, mask: .none, p: token.probabilities, q: token.complements)
    let choice = random == nil ? top : Int(token.primary.pointee)
    token.primary.pointee = Int32(choice)
    token.fill(0, expert: choice, multiplier: 1 / (1 + exp(-token.logits[choice])))
  }

  package func differentiate(_ token: TokenRoute) {
    let choice = Int(token.primary.pointee)
    token.gradient[choice] += Self.gateGradient(token.logits[choice], slope: token.slopes[0])
    token.addJacobianProduct(token.probabilityGradient, p: token.probabilities)
  }

  /// `[c_i σ'(θ_i)]_i`.
  package func differentiateDensely(_ token: TokenRoute, slopes: UnsafePointer<Double>) {
    for i in 0..<token.experts { token.gradient[i] = Self.gateGradient(token.logits[i], slope: slopes[i]) }
  }

  /// `c σ'(θ)`.
  private static func gateGradient(_ logit: Double, slope: Double) -> Double {
    let odds = exp(-logit.magnitude)
    return slope * odds / ((1 + odds) * (1 + odds))
  }
}
