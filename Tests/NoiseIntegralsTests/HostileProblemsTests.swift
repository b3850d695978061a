import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

/// Finite problems of any size: an assessment is finite, or refused with a reason, within the evaluations that are stated;
/// nothing traps, and nothing goes on for ever.
@Suite(.seeded) struct HostileProblemsTests {
  private static let estimators =
    EstimatorRegistry.standard.map(\.specification) + [
      "straight-through:tau=1e-300", "reinmax:tau=1e300", "gumbel-softmax-st:tau=1e-300", "gumbel-softmax-st:tau=1e300",
      "gumbel-softmax:tau=1e-300", "gumbel-softmax:tau=1e-5", "gumbel-softmax:tau=1e300", "gumbel-rao:tau=0.01,K=3",
      "reinforce:baseline=optimal", "reinforce:baseline=leave-one-out,samples=3", "switch:r=0", "switch:r=0.999",
    ]

  /// A number of any size and sign.
  private static func number(_ generator: inout Philox, largest: Double) -> Double {
    let choices = [0, 1, -1, 0.3, 5e-324, -2.3e-308, 1e-160, 700, -745, 1e6, 1e17, largest, -largest]
    return choices[Int.random(in: choices.indices, using: &generator)] * Double.random(in: 0.5...1, using: &generator)
  }

  private static func problem(_ k: Int) throws -> RoutedProblem {
    var generator = TestSeed.generator("hostile problem \(k)")
    let experts = [1, 2, 2, 3, 5][Int.random(in: 0..<5, using: &generator)]
    func numbers(_ count: Int, largest: Double = 1e300) -> [Double] {
      (0..<count).map { _ in number(&generator, largest: largest) }
    }
    let logits = numbers(experts, largest: 1e308)
    let isMixture = k % 2 == 0
    let width = isMixture ? 2 : experts
    let loss: any Objective =
      switch Int.random(in: 0..<6, using: &generator) {
      case 0: try Linear(coefficients: numbers(width))
      case 1: try Quadratic(matrix: (0..<width).map { _ in numbers(width) }, linear: numbers(width))
      case 2:
        try SeparablePower(
          exponent: [1.5, 2, 3, 300][Int.random(in: 0..<4, using: &generator)], targets: numbers(width),
          weights: numbers(width))
      case 3: try LogCosh(scales: numbers(width), targets: numbers(width))
      case 4:
        try SoftmaxCrossEntropy(weights: (0..<3).map { _ in numbers(width) }, biases: numbers(3), label: 1)
      default: try Polynomial(coefficients: numbers(4), direction: numbers(width))
      }
    guard isMixture else { return try RoutedProblem(.categorical(CategoricalProblem(logits: logits, objective: loss))) }
    return try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: logits, expertOutputs: (0..<experts).map { _ in numbers(width) },
          standIns: (0..<experts).map { _ in numbers(width) }, loss: loss)))
  }

  @Test(arguments: 0..<24) func answersOrRefuses(_ k: Int) throws {
    let problem = try Self.problem(k)
    var options = AssessmentOptions(
      covariance: k % 3 == 0, integration: IntegrationOptions(tolerance: 0.01, samples: 500))
    for (place, specification) in Self.estimators.enumerated() {
      let estimator = try EstimatorRegistry.estimator(specification)
      // Integrals take seconds without optimisation: each problem meets a sixth of them.
      guard estimator.isEnumerable || place % 6 == k % 6 else { continue }
      for sampling in [nil, AssessmentOptions.Sampling(samples: 100, seed: 1)] {
        options.sampling = sampling
        var told = 0
        do throws(AssessmentError) {
          let assessment = try Assessment(of: estimator, on: problem, options: options) {
            told = max(told, $0)
            return true
          }
          let estimate = assessment.estimate
          #expect(estimate.moments.isFinite, "\(specification), problem \(k)")
          #expect(estimate.meanError.isFinite && estimate.varianceError.isFinite, "\(specification), problem \(k)")
          #expect(estimate.moments.variance.allSatisfy { $0 >= 0 }, "\(specification), problem \(k)")
        } catch {
          #expect(!error.description.isEmpty)
        }
        #expect(told <= SoftGumbelExpectation.largestEvaluations, "\(specification), problem \(k)")
      }
    }
  }

  /// The faults that were reported: each is answered, as nothing in them leaves Float64.
  @Test(arguments: [
    (
      [-1e6, -1e6],
      [[4.8654983440596067e-101, 1.263131427467767e+55], [-4.760305539554812e-35, 1.3508942153748978e+100]]
    ),
    (
      [-0.9969567555207411, 0.6766169910267179],
      [[3.585655802532982e+115, 1.0435842901005725e+127], [-8.6e+29, -1e-110]]
    ),
    ([0.35945482, -0.27212657, 1.55848978], [[1.14e+104, 3.9e-70], [4.4e-47, -1.22e+32], [1.5e+116, 1e+70]]),
  ])
  func softGumbelOfHugeOutputs(_ logits: [Double], _ outputs: [[Double]]) throws {
    let problem = try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: logits, expertOutputs: outputs, loss: try LogCosh(scales: [1, 1], targets: [0.66, 0.17]))))
    let estimate = try EstimatedMoments(
      of: GumbelSoftmax(), on: problem, options: .init(integration: .init(samples: 20_000)))
    #expect(estimate.moments.isFinite && estimate.varianceError.isFinite && estimate.moments.totalVariance > 0)
  }

  /// Scaling an objective by a power of two scales what is integrated, to the bit, however far that takes it.
  @Test(arguments: [-900, -300, 300, 480]) func softGumbelScales(_ exponent: Int) throws {
    func estimate(_ weight: Double) throws -> EstimatedMoments {
      let objective = try SeparablePower(exponent: 3, targets: [0, 0], weights: [weight, 0])
      return try EstimatedMoments(
        of: GumbelSoftmax(),
        on: try RoutedProblem(.categorical(CategoricalProblem(logits: [0, 0], objective: objective))))
    }
    let factor = Double(sign: .plus, exponent: exponent, significand: 1)
    let (one, scaled) = (try estimate(1), try estimate(factor))
    #expect(scaled.method == .quadrature)
    #expect(scaled.moments.mean == one.moments.mean.map { $0 * factor })
    #expect(scaled.moments.variance == one.moments.variance.map { $0 * factor * factor })
  }

  @Test(arguments: ["gumbel-softmax", "gumbel-softmax-st", "gumbel-rao", "switch"])
  func integralsCanBeCalledOff(_ specification: String) throws {
    let problem = try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: [0.5, 0], expertOutputs: [[1], [-2]], loss: try LogCosh(scales: [1], targets: [0.5]))))
    let estimator = try EstimatorRegistry.estimator(specification)
    #expect(throws: AssessmentError.interrupted) {
      try Assessment(of: estimator, on: problem) { _ in false }
    }
  }
}
