import RoutingCore

/// DenseMixer: sparse forward, `y = π_D f_D`; the router's gradient is that of ``DenseBackward``, `ĝ = J(π) [G'(π_D f_D)·f_i]_i`, and the
/// experts', unlike there, that of the sparse output: experts that were not chosen get none.
///
/// The two differ where experts have weights: in whole layers, which is where it is listed. With k > 1 experts it was published in three
/// variants, of which a router's gates decide between the first two:
/// - gates that are not divided by their sum: `Σ_i c_i ∂p_i`, all experts (yaof20/DenseMixer, `norm_topk_prob=False`);
/// - gates that are: those chosen have the derivative of the divisor, the others have it held (yaof20/DenseMixer, `norm_topk_prob=True`);
/// - `branch=softmax`: whatever the gates are divided by, the dense branch is the full softmax, `Σ_i c_i ∂p_i` at the sparse output
///   (marin-community/marin#7212). Its experts' outputs are detached, so that experts and inputs get what the sparse output gives them.
///
/// *Source*: yaof20/DenseMixer at 116e83d, `qwen3_moe_custom.py` (`GateGradSTE`); marin-community/marin#7212, `dense_router_delta`.
public struct DenseMixer: FiniteOutcomeEstimator {
  public static let id = "dense-mixer"
  public static let parameters = [
    ParameterDeclaration("branch", .word(["gates", "softmax"]), standard: .word("gates"))
  ]

  /// What the dense branch weighs experts with.
  public enum Branch: String, Sendable {
    /// The dense form of the router's own gates.
    case gates
    /// The softmax over all experts.
    case softmax
  }

  /// What the dense branch weighs experts with.
  public let branch: Branch

  public init(branch: Branch = .gates) { self.branch = branch }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(branch: Branch(rawValue: values.word("branch")) ?? .gates)
  }

  // Named where it says something.
  public var values: ParameterValues { branch == .gates ? [:] : ["branch": .word(branch.rawValue)] }

  public var claims: Claims {
    var claims = DenseBackward().claims
    claims.source = branch == .gates ? "github.com/yaof20/DenseMixer" : "github.com/marin-community/marin#7212"
    return claims
  }

  public var forwardLaw: ForwardLaw { .plainDraw }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    try DenseBackward().outcomes(of: problem)
  }
}

extension DenseMixer: ChoiceEstimator {
  package var choiceRule: ChoiceRule { branch == .gates ? .dense(toEveryExpert: false) : .fullSoftmax }
}
