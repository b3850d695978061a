import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

/// A generator that keeps to the ends of its range.
private struct Extremes: RandomNumberGenerator {
  var words: [UInt64]
  var position = 0

  mutating func next() -> UInt64 {
    defer { position += 1 }
    return words[position % words.count]
  }
}

/// The sampler of Switch: what holds of every sample.
@Suite(.seeded) struct SwitchTests {
  static let logits: [[Double]] = [
    [1, 0.9, 1.1], [-1, -0.95, -1.2], [0, -0.5, 0], [50, 48, -50], [1, 1, 1], [1.7e308, 1.6e308, -1.7e308],
  ]

  static func problem(
    _ logits: [Double], router: RouterInput? = nil, mask: Mask = .none
  ) throws -> RoutedProblem {
    try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: logits, expertOutputs: logits.indices.map { [0.5 + Double($0), 1.5 - 0.8 * Double($0)] },
          router: router, loss: LogCosh(scales: [1, 2], targets: [0.5, -0.5]))), mask: mask)
  }

  /// The argmax of θ∘u, and the derivative of the loss by θ with D and u held.
  @Test(arguments: logits.dropLast()) func samples(_ logits: [Double]) throws {
    let problem = try Self.problem(logits)
    let (_, loss, directions) = try problem.computableMixture()
    var generator = TestSeed.generator("SwitchTests \(logits)")
    let sampler = try Switch(jitter: 0.2).sampler(on: problem)
    for _ in 0..<20 {
      let (choice, u, gradient) = sampler.draw(using: &generator)
      let x = zip(logits, u).map { $0 * $1 }
      #expect(u.allSatisfy { $0 > 0.8 && $0 < 1.2 })
      #expect(x.indices.allSatisfy { x[$0] < x[choice] || (x[$0] == x[choice] && $0 >= choice) })
      func value(_ theta: [Double]) -> Double {
        let p = RoutingDistribution(logits: zip(theta, u).map { $0 * $1 }).probabilities
        return loss.value(at: directions.row(choice).map { p[choice] * $0 })
      }
      let scale = gradient.map(\.magnitude).max() ?? 0
      for k in logits.indices {
        func moved(_ h: Double) -> Double {
          var theta = logits
          theta[k] += h
          return value(theta)
        }
        let h = 1e-3
        let slope = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
        expectClose(gradient[k], slope, within: 1e-9, "\(logits) u \(u)")
      }
      let sum = zip(gradient, u).reduce(0) { $0 + $1.0 / $1.1 }
      #expect(sum.magnitude <= 1e-15 * max(scale, 1e-300))
    }
  }

  /// Without jitter: the conventional outcome of the argmax.
  @Test func noJitter() throws {
    let problem = try Self.problem([0.4, 1.3, -0.2])
    let outcomes = try Conventional().outcomes(of: problem)
    let outcome = try #require(try outcomes.enumerated().first { $0.choice == [1] })
    var generator = TestSeed.generator("SwitchTests.noJitter")
    let sample = try Switch(jitter: 0).sampler(on: problem).sample(using: &generator)
    expectClose(sample, outcomes.gradient(of: outcome), relative: 1e-15)
  }

  @Test func extremeDrawsAreFinite() throws {
    let words: [[UInt64]] = [[0], [.max], [1], [0, .max], [.max, 0, 0], [1 << 12, .max << 12]]
    for logits in Self.logits {
      for r in [0, 0.1, 0.999] {
        let sampler = try Switch(jitter: r).sampler(on: Self.problem(logits))
        for pattern in words {
          var generator = Extremes(words: pattern)
          let sample = sampler.sample(using: &generator)
          #expect(sample.allSatisfy { $0.isFinite }, "\(logits) \(r) \(pattern)")
        }
      }
    }
  }

  @Test func maskedExpertsAreNeitherDrawnNorTrained() throws {
    let problem = try Self.problem([1, 0.99, 0.2], mask: .paper(threshold: 0.1))
    let sampler = try Switch(jitter: 0.9).sampler(on: problem)
    var generator = TestSeed.generator("SwitchTests.mask")
    for _ in 0..<200 {
      let draw = sampler.draw(using: &generator)
      #expect(draw.choice != 2 && draw.gradient[2] == 0)
    }
  }

  @Test func inputJitter() throws {
    let router = try RouterInput(
      weights: [[1, 0.5], [0.9, 0.6], [1.2, 0]], biases: [0, 0.1, 0], input: [1, -0.3])
    let sampler = try Switch(jitter: 0.3, kind: .input).sampler(on: Self.problem(router.logits, router: router))
    var generator = TestSeed.generator("SwitchTests.inputJitter")
    for _ in 0..<50 {
      let sample = sampler.sample(using: &generator)
      #expect(sample.reduce(0, +).magnitude <= 1e-15)
    }
    expectClose(router.logits, [0.85, 0.82, 1.2], relative: 1e-15)
  }

  @Test func refusals() throws {
    for r in ["1", "-0.1", "nan"] {
      let words = "estimator 'switch': parameter 'r': expected a number from 0 to below 1, got '\(r)'"
      #expect(throws: InvalidEstimator(words)) { try EstimatorRegistry.estimator("switch:r=\(r)") }
    }
    #expect(
      try Switch(["r": .number(0.25), "kind": .word("input")]).specification == "switch:r=0.25,kind=input")
    let problem = try Self.problem([1, 2])
    #expect(throws: Unavailable("needs the router and its input")) { try Switch(kind: .input).sampler(on: problem) }
    let categorical = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [1, 2], objective: Linear(coefficients: [1, 2]))))
    #expect(throws: Unavailable("needs a mixture problem")) { try Switch().sampler(on: categorical) }
  }
}
