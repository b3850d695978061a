import RoutingCore

/// Default MoE: the deterministic top k, with stand-ins m_i for the outputs of the experts not chosen, in the forward sum
/// too: `y = Σ_{i∈A} π_i f_i + Σ_{i∉A} π_i m_i`, back-propagated densely. One outcome.
///
/// On a single problem the stand-ins are given (`defaultOutputs`); in training they are moving averages of past outputs.
///
/// *Edge cases*: without stand-ins it is unavailable, and so it is with fewer than k experts.
///
/// *Source*: arXiv 2504.12463, equations 10 and 11.
public struct DefaultMoE: FiniteOutcomeEstimator {
  public static let id = "default-moe"
  public static let parameters = [ParameterDeclaration("k", .integer(1...Int.max), standard: .integer(1))]

  /// k, the number of experts evaluated.
  public let k: Int

  public init(k: Int = 1) { self.k = k }

  public init(_ values: ParameterValues) throws(InvalidEstimator) { self.init(k: values.integer("k")) }

  public var values: ParameterValues { ["k": .integer(k)] }

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .denseMixture, exactness: .none, expertEvaluations: .constant(Double(k)),
      source: "arXiv 2504.12463, equation 11")
  }

  public var forwardLaw: ForwardLaw { .standIns(chosen: k) }

  /// The places of the k largest logits, of equal ones the first.
  package static func chosen(_ k: Int, _ logits: [Double]) -> [Int] {
    Array(logits.indices.sorted { logits[$0] != logits[$1] ? logits[$0] > logits[$1] : $0 < $1 }.prefix(k))
  }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let (mixture, loss, directions) = try problem.computableMixture()
    guard let standIns = mixture.standInDirections else { throw Unavailable("needs defaultOutputs") }
    guard k <= problem.experts else { throw Unavailable("needs \(k) experts") }
    let distribution = problem.distribution
    let chosen = Self.chosen(k, mixture.logits)
    let outputs = (0..<problem.experts).map { chosen.contains($0) ? directions.row($0) : standIns.row($0) }
    let gradient = loss.gradient(at: distribution.mean(of: outputs))
    return OutcomeDistribution(
      distribution: distribution,
      outcomes: [
        Outcome(
          choice: chosen, probability: 1, multiplier: chosen.map { distribution.probabilities[$0] },
          gradient: .dense(distribution.jacobianProduct(outputs.map { dot(gradient, $0) })))
      ])
  }
}

extension DefaultMoE: ChoiceEstimator {
  package var choiceRule: ChoiceRule { .standIns(chosen: k) }
}
