import RoutingCore

/// The unordered-set estimator: k experts drawn without replacement (the k largest of `θ + Γ`) stand for the expected loss of a *single* draw,
/// `ĝ = Σ_{s∈S} π_s R(S, s) (f(s) − b_s) (I_s − π)`.
///
/// `π_s R(S, s)` is the probability that s was drawn first, given the set, and
/// `b_s = π_s f(s) + (1 − π_s) Σ_{s'} P(s' second | s first, S) f(s')` a baseline that does not depend on s in the mean, so that
/// `f(s) − b_s = (1 − π_s) Σ_{s'} P(s' second | s first, S) (f(s) − f(s'))`. Unbiased for every function; of all REINFORCE estimators with k draws without
/// replacement it is the Rao–Blackwellised one. With k = 1 there is no baseline, and it is REINFORCE; with all experts it is the exact gradient.
///
/// *Source*: Kool, van Hoof, Welling, arXiv 2002.06043, equations 9 and 15; wouterkool/estimating-gradients-without-replacement,
/// `reinforce_unordered`. The conditional probabilities are those of ``PlackettLuce/firsts(of:)`` instead of ratios over orders.
public struct UnorderedSet: FiniteOutcomeEstimator, SamplingEstimator {
  public static let id = "unordered-set"
  public static let parameters = [
    ParameterDeclaration("k", .integer(1...PlackettLuce.largestSize), standard: .integer(2))
  ]

  /// k.
  public let k: Int

  /// - Precondition: k is at least 1.
  public init(k: Int = 2) {
    precondition(k >= 1, "a set of \(k)")
    self.k = k
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) { self.init(k: values.integer("k")) }

  public var values: ParameterValues { ["k": .integer(k)] }

  public var claims: Claims {
    Claims(
      kinds: [.categorical], target: .expectedLoss, exactness: .all, expertEvaluations: .constant(Double(k)),
      source: "arXiv 2002.06043")
  }

  public func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    let sampler = try sampler(on: problem)
    var list = OutcomeDistribution(
      distribution: problem.distribution,
      outcomes: try sampler.sets.subsets().map { set in
        let (probability, root) = sampler.sets.probability(of: set)
        return Outcome(choice: set, probability: probability, gradient: .scores(sampler.terms(of: set))).rooted(root)
      })
    list.areSets = true
    return list
  }

  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> Sampler {
    try requireDefined(on: problem)
    return Sampler(
      sets: try SubsetDistribution(.plackettLuce(k), of: problem), distribution: problem.distribution,
      values: try problem.values())
  }

  /// Draws sets.
  public struct Sampler: GradientSampler {
    let sets: SubsetDistribution
    let distribution: RoutingDistribution
    let values: [Double]

    /// The terms `π_s R(S, s) (f(s) − b_s)` of a set.
    func terms(of set: [Int]) -> [ScoreTerm] {
      guard let (first, second) = sets.firsts(of: set) else { preconditionFailure("sets are drawn one by one") }
      return set.enumerated().map { place, s in
        guard set.count > 1 else { return ScoreTerm(choice: s, weight: values[s]) }
        var advantage = CompensatedSum()
        for (other, expert) in set.enumerated() where other != place {
          advantage += second[place][other] * (values[s] - values[expert])
        }
        return ScoreTerm(choice: s, weight: first[place] * distribution.complementShare(s, of: advantage.value))
      }
    }

    public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
      var sample = [Double](repeating: 0, count: values.count)
      for term in terms(of: sets.sample(using: &generator)) {
        for j in distribution.support {
          sample[j] +=
            j == term.choice
            ? distribution.complementShare(j, of: term.weight) : -distribution.share(j, of: term.weight)
        }
      }
      return sample
    }
  }
}
