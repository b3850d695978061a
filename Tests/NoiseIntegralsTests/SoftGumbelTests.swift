import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

private let worst = WorstError("soft gumbel")

/// An objective that no one knows to be a polynomial.
private struct Opaque: Objective {
  let base: any Objective

  var dimension: Int { base.dimension }
  func value(at point: [Double]) -> Double { base.value(at: point) }
  func gradient(at point: [Double]) -> [Double] { base.gradient(at: point) }
}

/// Integrals against GSL's adaptive quadrature (two experts), Sobol points (three) and samples, which share
/// no code with them.
@Suite(.seeded, .reporting(worst)) struct SoftGumbelTests {
  static let kinds = ["linear", "quadratic", "power", "mixture linear", "mixture quadratic"]

  /// The same problem twice, its polynomial named and not.
  static func problems(_ kind: String, _ logits: [Double]) throws -> (
    known: RoutedProblem, opaque: RoutedProblem
  ) {
    let n = logits.count
    let width = kind.hasPrefix("mixture") ? 2 : n
    func slope(_ i: Int) -> Double {
      let x = Double(i)
      return 0.3 + x * (0.7 - 0.2 * x)
    }
    func bend(_ i: Int, _ j: Int) -> Double {
      let (x, y) = (Double(i), Double(j))
      return 0.5 * (x + 1) * (y + 1) - (x - y) * (x - y)
    }
    let slopes = (0..<width).map(slope)
    let objective: any Objective
    switch kind {
    case "power": objective = try SeparablePower(exponent: 2, targets: slopes)
    case "linear", "mixture linear": objective = try Linear(coefficients: slopes)
    default:
      let rows = (0..<width).map { i in (0..<width).map { bend(i, $0) } }
      objective = try Quadratic(matrix: rows, linear: slopes)
    }
    func make(_ objective: any Objective) throws -> RoutedProblem {
      guard kind.hasPrefix("mixture") else {
        return try RoutedProblem(.categorical(CategoricalProblem(logits: logits, objective: objective)))
      }
      let outputs: [[Double]] = (0..<n).map { [0.5 + Double($0), 1.5 - 0.8 * Double($0)] }
      return try RoutedProblem(
        .mixture(MixtureProblem(logits: logits, expertOutputs: outputs, loss: objective)))
    }
    return (try make(objective), try make(Opaque(base: objective)))
  }

  /// The largest root mean square of a coordinate.
  private func size(_ moments: Moments) -> Double {
    zip(moments.mean, moments.variance).map { ($0 * $0 + $1).squareRoot() }.max() ?? 0
  }

  @Test(arguments: kinds, [0.05, 0.3, 1, 2.5, 10])
  func twoExperts(_ kind: String, _ tau: Double) throws {
    for logits in [[0.4, -0.3], [0, 0], [5, -6], [-15, 15], [50, -50]] {
      let (known, opaque) = try Self.problems(kind, logits)
      let estimator = GumbelSoftmax(temperature: tau)
      let found = try SoftGumbelExpectation.moments(of: estimator, on: known, covariance: true)
      let reference = try SoftGumbelExpectation.moments(of: estimator, on: opaque, covariance: true)
      #expect(found.method == .quadrature && reference.method == .quadrature)
      let scale = size(reference.moments)
      let place = "\(kind) tau=\(tau) \(logits)"
      expectClose(
        found.moments.mean, reference.moments.mean, relative: 2e-10, scale: scale, to: worst,
        quantity: "mean", place)
      expectClose(
        try #require(found.moments.covariance).elements, try #require(reference.moments.covariance).elements,
        relative: 4e-10, scale: scale * scale, to: worst, quantity: "covariance", place)
      #expect(found.meanError <= 1e-9 * scale && found.varianceError <= 1e-9 * scale * scale, "\(place)")
    }
  }

  /// Eight of sixteen shifts' standard errors: Student's t with 15 degrees of freedom passes 10 with
  /// probability 1e-7 each way, 1e-4 for all comparisons here at other seeds; the seed is fixed. A moment
  /// off by 20 of them is found with probability above 0.999.
  @Test(arguments: kinds, [0.3, 1.5]) func threeExperts(_ kind: String, _ tau: Double) throws {
    let (known, opaque) = try Self.problems(kind, [0.4, -0.8, 0.1])
    let estimator = GumbelSoftmax(temperature: tau)
    let found = try SoftGumbelExpectation.moments(
      of: estimator, on: known, covariance: true, options: IntegrationOptions(samples: 1 << 14))
    let reference = try SoftGumbelExpectation.moments(
      of: estimator, on: opaque, covariance: true, options: IntegrationOptions(samples: 1 << 14))
    #expect(found.method == (kind == "mixture quadratic" ? .monteCarlo : .quadrature))
    #expect(reference.method == .monteCarlo && reference.samples == nil)
    #expect(reference.meanError < 1e-2 * size(reference.moments))
    for (a, b) in zip(found.moments.mean, reference.moments.mean) {
      expectClose(a, b, within: 10 * reference.meanError, "\(kind) \(tau)")
    }
    let covariances = [found, reference].map { $0.moments.covariance?.elements ?? [] }
    for (a, b) in zip(covariances[0], covariances[1]) {
      expectClose(a, b, within: 10 * reference.varianceError, "\(kind) \(tau)")
    }
    // Refined: twice the digits ask for a smaller step, and agree.
    let fine = try SoftGumbelExpectation.moments(
      of: estimator, on: known, options: IntegrationOptions(tolerance: 1e-12, samples: 1 << 14))
    expectClose(fine.moments.mean, found.moments.mean, relative: 1e-11, scale: size(found.moments))
  }

  /// Against samples with six experts (error rates: ``FalseFailures``, by Bernstein's inequality with the
  /// exact variance).
  @Test(arguments: ["linear", "quadratic", "mixture linear"]) func sampled(_ kind: String) throws {
    let logits = [0.4, -0.8, 0.1, 1.2, -2, 0.4]
    let (known, _) = try Self.problems(kind, logits)
    let estimator = GumbelSoftmax(temperature: 0.7)
    let moments = try SoftGumbelExpectation.moments(of: estimator, on: known).moments
    let sampler = try estimator.sampler(on: known)
    var generator = TestSeed.generator("SoftGumbelTests.sampled \(kind)")
    let samples = SampledMoments(10_000, coordinates: logits.count) { sampler.sample(using: &generator) }
    // ĝ is bounded; twice the largest seen stands for the bound.
    samples.expect(moments, range: 2 * samples.range, kind)
  }

  /// Any objective beyond four experts: seeded samples, the same on two threads.
  @Test func monteCarlo() throws {
    let (known, opaque) = try Self.problems("linear", [0.4, -0.8, 0.1, 1.2, -2])
    let estimator = GumbelSoftmax(temperature: 0.7)
    let one = try SoftGumbelExpectation.moments(of: estimator, on: opaque, options: IntegrationOptions(samples: 6000))
    let two = try SoftGumbelExpectation.moments(
      of: estimator, on: opaque, options: IntegrationOptions(samples: 6000, threads: 2))
    #expect(one == two && one.method == .monteCarlo && one.samples == 6000)
    let exact = try SoftGumbelExpectation.moments(of: estimator, on: known)
    for (a, b) in zip(one.moments.mean, exact.moments.mean) { expectClose(a, b, within: 9 * one.meanError) }
  }

  @Test func vanishing() throws {
    let (known, _) = try Self.problems("quadratic", [0.4, -0.8, 0.1, 1.2])
    for tau in [0.05, 1, 10] {
      let estimate = try SoftGumbelExpectation.moments(
        of: GumbelSoftmax(temperature: tau), on: known, covariance: true)
      let matrix = try #require(estimate.moments.covariance)
      let scale = size(estimate.moments)
      #expect(estimate.moments.mean.reduce(0, +).magnitude <= 1e-12 * scale)
      for j in 0..<4 { #expect(matrix.row(j).reduce(0, +).magnitude <= 1e-10 * scale * scale, "\(tau)") }
    }
    let single = try RoutedProblem(
      .categorical(CategoricalProblem(logits: [2], objective: Linear(coefficients: [3]))))
    let estimate = try SoftGumbelExpectation.moments(of: GumbelSoftmax(), on: single, covariance: true)
    #expect(estimate.moments.mean == [0] && estimate.moments.variance == [0] && estimate.meanError == 0)
  }

  @Test func refusals() throws {
    let (known, _) = try Self.problems("linear", [0.4, -0.8])
    #expect(throws: IntegrationError.self) {
      try SoftGumbelExpectation.moments(of: GumbelSoftmax(), on: known, options: IntegrationOptions(tolerance: 1e-18))
    }
    let table = try RoutedProblem(
      .categorical(
        CategoricalProblem(logits: [1, 2], source: .table(values: [0, 0], gradients: [[0, 0], [0, 0]]))))
    #expect(throws: IntegrationError.self) {
      try SoftGumbelExpectation.moments(of: GumbelSoftmax(), on: table)
    }
  }
}
