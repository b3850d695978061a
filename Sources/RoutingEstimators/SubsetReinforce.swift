import RoutingCore

/// The score function of subsets: `ĝ = (F(S) − b) ∇log P(S)`, on a mixture plus the gates' own part `J(π) (s ⊙ z)`. Unbiased for every function.
///
/// S is drawn by Plackett–Luce (`law=plackett-luce`, the k largest of `θ + Γ`) or by the conditional Bernoulli law; the two are different
/// distributions, with different expected losses. The score is that of the set: that of the ordered draw has more variance by what the
/// order says. `baseline` b is a constant.
///
/// *Source*: R. J. Williams, Machine Learning 8 (1992); for k-subsets Wijk, Vinuesa, Azizpour, ICLR 2025 (SFESS).
public struct SubsetReinforce: SubsetEstimator {
  public static let id = "subset-reinforce"
  public static let parameters =
    [
      ParameterDeclaration(
        "law", .word(["plackett-luce", "conditional-bernoulli"]), standard: .word("plackett-luce"))
    ] + SubsetSizes.parameters + [ParameterDeclaration("baseline", .number, standard: .number(0))]

  /// How experts are drawn.
  public let law: SubsetLaw
  /// b.
  public let baseline: Double

  /// - Precondition: sizes are at least 1.
  public init(law: SubsetLaw = .plackettLuce(2), baseline: Double = 0) {
    precondition(law.sizes.lowerBound >= 1, "a subset of \(law.sizes.lowerBound)")
    self.law = law
    self.baseline = baseline
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    let sizes = try SubsetSizes.sizes(values, of: Self.id)
    let isBernoulli = values.word("law") == "conditional-bernoulli"
    guard isBernoulli || values["k-max"] == nil else {
      throw InvalidEstimator("estimator 'subset-reinforce': 'k-max' goes with law=conditional-bernoulli")
    }
    self.init(
      law: isBernoulli ? .conditionalBernoulli(sizes: sizes) : .plackettLuce(sizes.lowerBound),
      baseline: values.number("baseline"))
  }

  public var values: ParameterValues {
    var values: ParameterValues
    switch law {
    case .plackettLuce(let k): values = ["law": .word("plackett-luce"), "k": .integer(k)]
    case .conditionalBernoulli(let sizes):
      values = ["law": .word("conditional-bernoulli"), "k": .integer(sizes.lowerBound)]
      if sizes.count > 1 { values["k-max"] = .integer(sizes.upperBound) }
    }
    values["baseline"] = .number(baseline)
    return values
  }

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .all, subsets: law,
      expertEvaluations: .constant(Double(law.sizes.upperBound)), source: "Williams, Machine Learning 8 (1992)")
  }

  package var rule: SubsetRule { .score(baseline: baseline) }
}
