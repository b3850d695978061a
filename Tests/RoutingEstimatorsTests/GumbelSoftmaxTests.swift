import CStandardLibrary
import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

/// The sampler of soft Gumbel-softmax: what holds of every sample.
@Suite(.seeded) struct GumbelSoftmaxTests {
  static func problems(_ logits: [Double]) throws -> [RoutedProblem] {
    let loss = try LogCosh(scales: [1, 2], targets: [0.5, -0.5])
    let outputs = logits.indices.map { [0.5 + Double($0), 1.5 - 0.8 * Double($0)] }
    let objective = try LogCosh(
      scales: logits.indices.map { 1 + Double($0) }, targets: logits.map { _ in 0.3 })
    return [
      try RoutedProblem(.categorical(CategoricalProblem(logits: logits, objective: objective))),
      try RoutedProblem(.mixture(MixtureProblem(logits: logits, expertOutputs: outputs, loss: loss))),
      try RoutedProblem(
        .mixture(MixtureProblem(logits: logits, expertOutputs: outputs, loss: loss)),
        mask: .paper(threshold: 0.5)),
    ]
  }

  /// The loss of the relaxed forward pass with fixed noise: `f(p)`, or `G(Σ p_i π_i f_i)`.
  private func relaxedLoss(_ problem: RoutedProblem, logits: [Double], noise: [Double], tau: Double) throws
    -> Double
  {
    let support = problem.distribution.support
    func softmax(_ x: [Double]) -> [Double] {
      let w = x.indices.map { support.contains($0) ? exp(x[$0]) : 0 }
      return w.map { $0 / w.reduce(0, +) }
    }
    let p = softmax(zip(logits, noise).map { ($0 + $1) / tau })
    switch problem.problem {
    case .categorical(let categorical):
      guard case .objective(let objective) = categorical.source else { return .nan }
      return objective.value(at: p)
    case .mixture:
      let (_, loss, directions) = try problem.computableMixture()
      let weights = zip(p, softmax(logits)).map { $0 * $1 }
      return loss.value(
        at: (0..<directions.columns).map { j in
          weights.indices.reduce(0) { $0 + weights[$1] * directions[$1, j] }
        })
    }
  }

  /// The sample is the whole derivative of the relaxed loss by θ.
  @Test(arguments: [0.5, 1, 3]) func isTheDerivativeOfTheRelaxedLoss(_ tau: Double) throws {
    let logits = [0.7, -0.4, 0.25, 0.9]
    var generator = TestSeed.generator("GumbelSoftmaxTests \(tau)")
    for problem in try Self.problems(logits) {
      let sampler = try GumbelSoftmax(temperature: tau).sampler(on: problem)
      for _ in 0..<10 {
        let noise = generator.normals(4)
        let sample = sampler.gradient(perturbed: zip(logits, noise).map { $0 + $1 })
        #expect(sample.reduce(0, +).magnitude <= 1e-15 * (1 + sample.reduce(0) { max($0, $1.magnitude) }))
        for k in logits.indices {
          func moved(_ h: Double) throws -> Double {
            var theta = logits
            theta[k] += h
            return try relaxedLoss(problem, logits: theta, noise: noise, tau: tau)
          }
          let h = 1e-3
          let slope = try (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
          expectClose(sample[k], slope, within: 1e-9 / tau, "tau \(tau)")
        }
      }
    }
  }

  @Test func extremesAreFinite() throws {
    for logits in [[1.0, -2], [1e308, -1e308], [0, 0]] {
      for problem in try Self.problems(logits).dropFirst() {
        for tau in [1e-300, 0.05, 1e300] {
          var generator = TestSeed.generator("GumbelSoftmaxTests.extremes")
          let sampler = try GumbelSoftmax(temperature: tau).sampler(on: problem)
          for _ in 0..<10 {
            #expect(sampler.sample(using: &generator).allSatisfy { !$0.isNaN }, "\(logits) \(tau)")
          }
        }
      }
    }
  }

  @Test func refusals() throws {
    let table = try RoutedProblem(
      .categorical(
        CategoricalProblem(logits: [1, 2], source: .table(values: [0, 0], gradients: [[0, 0], [0, 0]]))))
    #expect(throws: Unavailable.self) { try GumbelSoftmax().sampler(on: table) }
    #expect(GumbelSoftmax(temperature: 0.5).specification == "gumbel-softmax:tau=0.5")
  }
}
