import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

/// The samplers of the Gumbel family: what holds of every sample.
@Suite(.seeded) struct GumbelSamplerTests {
  /// A generator that keeps to the ends of its range.
  private struct Extremes: RandomNumberGenerator {
    var words: [UInt64]
    var position = 0

    mutating func next() -> UInt64 {
      defer { position += 1 }
      return words[position % words.count]
    }
  }

  private static let estimators: [any SamplingEstimator] = [
    GumbelSoftmaxST(), GumbelSoftmaxST(temperature: 0.05), GumbelSoftmaxST(temperature: 1e-300),
    GumbelRao(temperature: 0.5, conditionalSamples: 3), GumbelRao(temperature: 1e-300, conditionalSamples: 2),
    GumbelRao(temperature: 1e300, conditionalSamples: 1), ReinMaxRao(temperature: 0.5, conditionalSamples: 3),
    ReinMaxRao(temperature: 1e-300, conditionalSamples: 2), ReinMaxRao(temperature: 1e300, conditionalSamples: 1),
  ]

  private static func problems() throws -> [RoutedProblem] {
    let gradients = [[0.5, -1.25, 2], [0.7, 0.3, -0.9], [-1.1, 0.0625, 0.45]]
    let logits = [[0.7, -1.1, 0.25], [0, 0, 0], [50, -50, 48.5], [1e308, -1e308, 0], [-800, 0, 3]]
    var problems: [RoutedProblem] = []
    for theta in logits {
      problems.append(
        try RoutedProblem(
          .categorical(
            CategoricalProblem(logits: theta, source: .table(values: [0, 0, 0], gradients: gradients)))))
      problems.append(
        try RoutedProblem(
          .mixture(
            MixtureProblem(
              logits: theta, expertOutputs: [[0.5, -1.5], [1.25, 0.75], [-0.6, 0.9]],
              loss: LogCosh(scales: [1, 2], targets: [0.5, -0.5]))),
          mask: .paper(threshold: 0.1)))
    }
    return problems
  }

  @Test func extremeDrawsAreFinite() throws {
    let words: [[UInt64]] = [
      [0], [.max], [1], [0, .max], [.max, 0, 0], [.max - 1, 1], [0, 0, .max], [1 << 12, .max << 12],
    ]
    for estimator in Self.estimators {
      for problem in try Self.problems() {
        let sampler = try estimator.sampler(on: problem)
        for pattern in words {
          var generator = Extremes(words: pattern)
          for _ in 0..<4 {
            let sample = sampler.sample(using: &generator)
            #expect(
              !sample.contains { $0.isNaN }, "\(estimator.specification) \(problem.problem.logits) \(pattern)"
            )
            for k in 0..<problem.experts where !problem.distribution.support.contains(k) {
              #expect(sample[k] == 0)
            }
          }
        }
      }
    }
  }

  @Test func coordinatesSumToZero() throws {
    for estimator in Self.estimators {
      for problem in try Self.problems() {
        let sampler = try estimator.sampler(on: problem)
        var generator = TestSeed.generator("coordinatesSumToZero")
        for _ in 0..<20 {
          let sample = sampler.sample(using: &generator)
          let largest = sample.reduce(0) { max($0, $1.magnitude) }
          guard largest.isFinite else { continue }
          #expect((sample.reduce(0, +)).magnitude <= 1e-14 * largest)
        }
      }
    }
  }

  @Test func oneExpertGivesZeros() throws {
    let one = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [3], source: .table(values: [1], gradients: [[2]]))))
    var generator = TestSeed.generator("oneExpertGivesZeros")
    for estimator in Self.estimators {
      #expect(try estimator.sampler(on: one).sample(using: &generator) == [0])
    }
  }

  @Test func tabulatedMixtureIsUnavailable() throws {
    let table = MixtureTable(
      nodes: [1], values: [[0.1], [0.2]], slopes: [[0.3], [0.4]], valueAtZero: 0, mask: .none)
    let problem = try RoutedProblem(
      .mixture(MixtureProblem(logits: [0, 1], expertOutputs: nil, source: .table(table))))
    #expect(throws: Unavailable.self) { try GumbelSoftmaxST().sampler(on: problem) }
  }

  @Test func parametersReadBack() throws {
    #expect(GumbelSoftmaxST(temperature: 0.5).specification == "gumbel-softmax-st:tau=0.5")
    let rao = try GumbelRao(["tau": .number(0.5), "K": .integer(4)])
    #expect(rao.specification == "gumbel-rao:tau=0.5,K=4")
    #expect(rao.conditionalSamples == 4)
    #expect(rao.claims.expertEvaluations == GumbelSoftmaxST().claims.expertEvaluations)
    #expect(GumbelRao.parameters.map(\.name) == ["tau", "K"])
  }
}
