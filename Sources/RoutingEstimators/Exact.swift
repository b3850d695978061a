import RoutingCore

/// The exact gradient of the expected loss by enumeration, `∇ = J(π) [F_i + c_i]_i`: no variance, the ceiling for all.
public struct Exact: FiniteOutcomeEstimator {
  public static let id = "exact"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .all, expertEvaluations: .everyExpert,
      source: "enumeration")
  }

  public var forwardLaw: ForwardLaw { .expectation(draws: 1) }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    OutcomeDistribution(
      distribution: problem.distribution,
      outcomes: [
        Outcome(
          choice: [], probability: 1, multiplier: problem.kind == .mixture ? [] : nil,
          gradient: .dense(try problem.expectedLossGradient()))
      ])
  }
}
