import RoutingCore

/// DenseMixer: sparse forward, `y = π_D f_D`; the router's gradient is that of ``DenseBackward``, `ĝ = J(π) [G'(π_D f_D)·f_i]_i`, and the
/// experts', unlike there, that of the sparse output: experts that were not chosen get none.
///
/// The two differ where experts have weights: in whole layers, which is where it is listed.
///
/// *Source*: yaof20/DenseMixer at 116e83d, `qwen3_moe_custom.py` (`GateGradSTE`).
public struct DenseMixer: FiniteOutcomeEstimator {
  public static let id = "dense-mixer"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}

  public var claims: Claims {
    var claims = DenseBackward().claims
    claims.source = "github.com/yaof20/DenseMixer"
    return claims
  }

  public var forwardLaw: ForwardLaw { .plainDraw }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    try DenseBackward().outcomes(of: problem)
  }
}

extension DenseMixer: ChoiceEstimator {
  package var choiceRule: ChoiceRule { .dense(toEveryExpert: false) }
}
