import RoutingCore

/// SparseMixer-v2 with two experts: the second is drawn in the same way from the softmax over those left, and
/// `y = c₁ π_i f_i + c₂ π'_j f_j` with a coin for each.
///
/// The sample is `π_i (G'(y)·f_i)(I_i − π) + π'_j (G'(y)·f_j)(I_j − π')`. Draw 1 gets no credit for what draw 2 contributes:
/// for affine losses the mean is exactly the pairs' gating term.
///
/// The second mask uses the remaining maximum and the magnitudes of the full logits, and ignores the first mask.
///
/// *Edge cases*: needs two experts.
///
/// *Source*: arXiv 2409.12136, section 3; transformers' Phi-MoE `sparsemixer`.
public struct SparseMixerV2Top2: FiniteOutcomeEstimator {
  public static let id = "sparsemixer-v2-top2"
  public static let parameters = SparseMixerV2.parameters

  /// Whether ⅓ is Float32(0.3333), as in the published code.
  public let referenceConstants: Bool

  public init(referenceConstants: Bool = false) { self.referenceConstants = referenceConstants }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(referenceConstants: values.flag("reference-constants"))
  }

  public var values: ParameterValues { ["reference-constants": .flag(referenceConstants)] }

  public var claims: Claims {
    Claims(
      kinds: [.mixture], target: .gatingTerm, exactness: .degree(1), order: 1, draws: 2,
      expertEvaluations: .constant(2),
      source: "arXiv 2409.12136, section 3")
  }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let (_, loss, directions) = try problem.computableMixture()
    let pairs = try PairDistribution(problem)
    var outcomes: [Outcome] = []
    for i in pairs.first.support {
      guard let second = pairs.second[i] else { continue }
      // All of the first choice's outcomes, then the loss at all of them together.
      var events: [(j: Int, one: Side, two: Side, a: Double, b: Double)] = []
      var points: [Double] = []
      for j in second.support {
        for one in coin(isArgmax: i == pairs.first.argmax) {
          for two in coin(isArgmax: j == second.argmax) {
            let a = one.output * pairs.first.probabilities[i]
            let b = two.output * second.probabilities[j]
            events.append((j, one, two, a, b))
            let isPlain = pairs.first.roots == nil && second.roots == nil
            points += zip(directions.row(i), directions.row(j)).map {
              isPlain
                ? a * $0 + b * $1 : pairs.first.share(i, of: one.output * $0) + second.share(j, of: two.output * $1)
            }
          }
        }
      }
      let gradients = loss.evaluate(points, count: events.count).gradients
      for (k, (j, one, two, a, b)) in events.enumerated() {
        let gradient = gradients[k * loss.dimension..<(k + 1) * loss.dimension]
        outcomes.append(
          Outcome(
            choice: [i, j], coins: [one.label, two.label],
            probability: pairs.probability(i, j) * one.probability * two.probability, multiplier: [a, b],
            gradient: .scores([
              ScoreTerm(choice: i, weight: pairs.first.share(i, of: dot(gradient, directions.row(i)))),
              ScoreTerm(
                choice: j, weight: second.share(j, of: dot(gradient, directions.row(j))), after: i),
            ])
          ).rooted(pairs.first.pairRoot(i, second, j, times: one.probability * two.probability)))
      }
    }
    return OutcomeDistribution(distribution: pairs.first, followUps: pairs.second, outcomes: outcomes)
  }

  /// A side of a coin.
  private typealias Side = (label: Int, probability: Double, output: Double)

  private func coin(isArgmax: Bool) -> [Side] {
    isArgmax
      ? [(1, 1, 1)] : [(0, 0.75, SparseMixerV2.third(referenceConstants)), (1, 0.25, 1)]
  }
}
