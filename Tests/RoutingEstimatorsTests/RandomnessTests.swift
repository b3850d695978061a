import RoutingCore
import RoutingEstimators
import Testing

/// How estimators say that their random draws are given.
struct RandomnessTests {
  /// Sampled and listed: what can be both is listed.
  private struct Both: FiniteOutcomeEstimator, SamplingEstimator {
    static let id = "both"
    init() {}
    init(_ values: ParameterValues) throws(InvalidEstimator) {}
    var claims: Claims {
      Claims(
        kinds: [.categorical], target: .expectedLoss, exactness: .none, expertEvaluations: .constant(1),
        source: "a test")
    }
    func outcomes(of problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
      try problem.choiceOutcomes { _, gradient in gradient }
    }
    func sampler(on problem: RoutedProblem) throws(Unavailable) -> Zero { Zero(experts: problem.experts) }

    struct Zero: GradientSampler {
      let experts: Int
      func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
        [Double](repeating: 0, count: experts)
      }
    }
  }

  @Test func followsFromTheProtocol() {
    for estimator in EstimatorRegistry.standard + [Both()] {
      switch estimator.randomness {
      case .finite(let finite):
        #expect(estimator is any FiniteOutcomeEstimator && estimator.isEnumerable)
        #expect(finite.specification == estimator.specification)
      case .continuous(let sampled):
        #expect(estimator is any SamplingEstimator && !estimator.isEnumerable)
        #expect(sampled.specification == estimator.specification)
      }
    }
    #expect(Both().isEnumerable)
  }

  @Test func listsOnlyWhatIsFiniteAndDefined() throws {
    let problem = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [0, 0], objective: Linear(coefficients: [1, -1]))))
    #expect(try Both().finiteOutcomes(on: problem).outcomes.map(\.choice) == [[0], [1]])
    #expect(throws: Unavailable("has no finite list of outcomes")) { try GumbelRao().finiteOutcomes(on: problem) }
    #expect(throws: Unavailable("needs a mixture problem")) { try Switch().finiteOutcomes(on: problem) }
  }

  /// Bounds are stated or refused, never assumed; those of the Gumbel estimators hold their samples.
  @Test func boundsAreClaims() throws {
    let problem = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [0.5, 0], objective: Linear(coefficients: [1, -1]))))
    let bounds = try GumbelSoftmaxST(temperature: 0.5).bounds(on: problem)
    // ¼ (u_1 − u_2)/τ, either way.
    #expect(bounds == SampleBounds(lower: [0, -1], upper: [1, 0]))
    #expect(throws: Unavailable("has neither a finite list of outcomes nor known bounds of its samples")) {
      try GumbelSoftmax().bounds(on: problem)
    }
  }
}
