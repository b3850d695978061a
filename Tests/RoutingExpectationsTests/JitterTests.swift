import GSLNumerics
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

private let worst = WorstError("jitter")

/// Problems on which jitter can change the choice, and an independent way to integrate over it.
enum JitterProblems {
  /// A mixture with a log-cosh loss, outputs that differ between experts.
  static func mixture(_ logits: [Double], loss: (any Objective)? = nil, space: SamplingSpace = .none) throws -> RoutedProblem {
    let outputs = logits.indices.map { k in
      let k = Double(k)
      return [1.5 - 0.7 * k + 0.11 * k * k, 0.4 * k - 0.9]
    }
    return try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: logits, expertOutputs: outputs,
          loss: try loss ?? LogCosh(scales: [1.5, 2], targets: [0.5, -0.7]))), space: space)
  }

  /// `∫ du Π 1/(2r) body(θ∘u)` by nested Gauss–Legendre with 10 points between all places where the integrand may have a kink:
  /// where the coordinate meets an end of another's range or one of those fixed before it.
  static func mean(
    of body: ([Double], [Double]) -> [Double], logits: [Double], r: Double, count: Int
  ) throws -> [Double] {
    let rule = try ReferenceRules.gaussLegendre(10)
    var sums = [Double](repeating: 0, count: count)
    func descend(_ fixed: [Double], _ weight: Double) {
      let k = fixed.count
      guard k < logits.count else {
        let factors = zip(fixed, logits).map { $1 == 0 ? 1 : $0 / $1 }
        for (e, value) in body(fixed, factors).enumerated() { sums[e] += weight * value }
        return
      }
      let half = r * logits[k].magnitude
      let (low, high) = (logits[k] - half, logits[k] + half)
      guard high > low else {
        descend(fixed + [logits[k]], weight)
        return
      }
      let ends = logits.dropFirst(k + 1).flatMap { [$0 - r * $0.magnitude, $0 + r * $0.magnitude] }
      let cuts = ([low, high] + (fixed + ends).filter { $0 > low && $0 < high }).sorted()
      for (a, b) in zip(cuts, cuts.dropFirst()) where b > a {
        for point in rule {
          descend(fixed + [a + (b - a) * point.node], weight * point.weight * (b - a) / (high - low))
        }
      }
    }
    descend([], 1)
    return sums
  }

  static func argmax(_ x: [Double]) -> Int {
    x.indices.reduce(0) { x[$1] > x[$0] ? $1 : $0 }
  }

  static func softmax(_ x: [Double]) -> [Double] {
    let top = x.max() ?? 0
    let w = x.map { exp($0 - top) }
    return w.map { $0 / w.reduce(0, +) }
  }

  /// `G(softmax(x)_D f_D)`.
  static func loss(_ x: [Double], _ loss: any Objective, _ directions: [[Double]]) -> Double {
    let D = argmax(x)
    let m = softmax(x)[D]
    return loss.value(at: directions[D].map { m * $0 })
  }

  /// The conventional sample.
  static func sample(
    _ x: [Double], _ u: [Double], _ loss: any Objective, _ directions: [[Double]]
  ) -> [Double] {
    let D = argmax(x)
    let p = softmax(x)
    let gradient = loss.gradient(at: directions[D].map { p[D] * $0 })
    let slope = zip(gradient, directions[D]).reduce(0) { $0 + $1.0 * $1.1 }
    return x.indices.map { slope * p[D] * (($0 == D ? 1 : 0) - p[$0]) * u[$0] }
  }
}

/// Selection probabilities of the jittered argmax.
@Suite("Jitter: selection probabilities", .seeded, .reporting(worst)) struct JitterSelectionTests {
  static let cases: [([Double], Double)] = [
    ([1, 0.9], 0.1), ([-1, -0.9, -1.05], 0.1), ([2, 2, 1.9], 0.05), ([0.5, 0.45, -3, 0], 0.2), ([-2, -2.5, -2.1, -1.9], 0.3),
    ([1, 1.3, 0.2, 0.9, 1.1, 0.7, 1.25, 0.8], 0.5), ([50, 48, 47, -50], 0.1), ([1, 2, 3, 4, 5], 0.9),
    ([1e-3, 1.01e-3, 0.99e-3], 0.02), ([1, 1 + 1e-9, 1 - 1e-9], 1e-9), ([1e307, 0.95e307], 0.1),
  ]

  /// `∫ p_i Π F_l dt` in the plain variables, by adaptive quadrature between the ends of the ranges.
  @Test(arguments: cases) func adaptiveQuadrature(_ logits: [Double], _ r: Double) throws {
    guard r > 1e-6 else { return }
    let scale = logits.map(\.magnitude).max() ?? 1
    let theta = logits.map { $0 / scale }
    let ends = theta.flatMap { [$0 * (1 - r), $0 * (1 + r)] }.sorted()
    var expected = theta.map { _ in 0.0 }
    for i in theta.indices where theta[i] != 0 {
      for (a, b) in zip(ends, ends.dropFirst()) where b > a {
        let width = r * theta[i].magnitude
        guard (a + b) / 2 > theta[i] - width, (a + b) / 2 < theta[i] + width else { continue }
        expected[i] += try Integration.integrate(
          { t in
            theta.indices.reduce(1 / (2 * width)) { product, l in
              guard l != i else { return product }
              let half = r * theta[l].magnitude
              let share = half == 0 ? (theta[l] < t ? 1 : 0) : (t - theta[l] + half) / (2 * half)
              return product * min(max(share, 0), 1)
            }
          }, over: a...b, method: .cquad, absoluteTolerance: 1e-14, relativeTolerance: 1e-13).value
      }
    }
    let found = JitterExpectation.selectionProbabilities(logits: logits, r: r)
    expectClose(found, expected, relative: 1e-13, scale: 1, to: worst, quantity: "selection", "\(logits) \(r)")
    expectClose(found.reduce(0, +), 1, within: 1e-13)
  }

  /// Two experts: the triangle in the unit square.
  @Test func closedForm() {
    let p = JitterExpectation.selectionProbabilities(logits: [1, 0.95], r: 0.1)
    // P(x_2 > x_1): x_2 reaches 1.045, x_1 starts at 0.9; the area of the triangle and strips.
    let area = 0.5 * (1.045 - 0.9) * (1.045 - 0.9) / (0.2 * 0.19)
    expectClose(p[1], area - 0.5 * (0.9 - 0.855) * (0.9 - 0.855) / (0.2 * 0.19) * 0, within: 1e-14)
  }

  @Test func tiesZerosAndNoJitter() {
    func p(_ logits: [Double], _ r: Double) -> [Double] {
      JitterExpectation.selectionProbabilities(logits: logits, r: r)
    }
    #expect(p([0.3, 2, 2, 1], 0) == [0, 1, 0, 0])
    #expect(p([-1, 0, 0, -0.1], 0.5) == [0, 1, 0, 0])
    #expect(p([-1, 0, 0.01, -0.1], 0.5) == [0, 0, 1, 0])
    #expect(p([0, 0], 0) == [1, 0])
    #expect(p([-3], 0.2) == [1])
    for logits in [[2.0, 2, 2, 2], [-2, -2, -2, -2]] {
      for r in [0.3, 1e-17, 0.999] { expectClose(p(logits, r), [0.25, 0.25, 0.25, 0.25], relative: 1e-14) }
    }
    // In terms of θ r the gap decides, however small the two are.
    let gap = 0x1p-30
    expectClose(p([1, 1 - gap], gap)[0], 1 - 0.5 * (1 - gap / 2) * 0.25, within: 1e-6)
    #expect(p([1, 0.5], 0.1) == [1, 0])
  }

  /// A hundred experts within reach: the probabilities sum to one, and equal logits share.
  @Test(arguments: [65, 130, 200]) func many(_ experts: Int) {
    let logits = (0..<experts).map { 1 + 0.001 * Double($0 / 2) }
    let p = JitterExpectation.selectionProbabilities(logits: logits, r: 0.3)
    expectClose(p.reduce(0, +), 1, within: 1e-13)
    for k in stride(from: 0, to: experts - 1, by: 2) { expectClose(p[k], p[k + 1], within: 1e-15) }
  }

  /// The sampler's choices (error rates: ``FalseFailures``; with 40,000 samples a probability of 0.3 that is off by 0.025 is found with
  /// probability above 0.97).
  @Test(arguments: cases) func sampled(_ logits: [Double], _ r: Double) throws {
    let sampler = try Switch(jitter: r).sampler(on: JitterProblems.mixture(logits))
    var generator = TestSeed.generator("JitterSelectionTests \(logits)")
    var counts = logits.map { _ in 0 }
    for _ in 0..<10_000 { counts[sampler.draw(using: &generator).choice] += 1 }
    let p = JitterExpectation.selectionProbabilities(logits: logits, r: r)
    for k in logits.indices where r > 1e-8 {
      let refutation = StatisticalBounds.refutation(successes: counts[k], of: 10_000, probability: p[k])
      #expect(refutation == nil, "\(logits) \(r) expert \(k)")
    }
  }
}

/// Moments, expected loss and its gradient.
@Suite("Jitter: moments", .seeded, .reporting(worst)) struct JitterMomentsTests {
  static let cases: [([Double], Double)] = [
    ([1, 0.9], 0.1), ([-1, -0.9], 0.2), ([0.8, -0.4], 0.3), ([2, 1.9, 2.1], 0.1), ([-2, -2.2, -1.9], 0.2), ([1.2, 1.1, -0.5], 0.25),
    ([0, -0.3, -0.2], 0.3), ([0.7, 0, 0.68], 0.15), ([1.5, 1.5, 1.5], 0.4), ([12, 13, 11], 0.2), ([3, 0.5, 1], 0.9),
  ]

  /// Against nested quadrature over u.
  @Test(arguments: cases) func nestedQuadrature(_ logits: [Double], _ r: Double) throws {
    let problem = try JitterProblems.mixture(logits)
    let (_, loss, matrix) = try problem.computableMixture()
    let directions = matrix.asRows
    let n = logits.count
    let expected = try JitterProblems.mean(
      of: { x, u in
        let g = JitterProblems.sample(x, u, loss, directions)
        return g + g.flatMap { a in g.map { a * $0 } } + [JitterProblems.loss(x, loss, directions)]
      }, logits: logits, r: r, count: n + n * n + 1)
    let estimator = Switch(jitter: r)
    let estimate = try JitterExpectation.moments(of: estimator, on: problem, covariance: true)
    #expect(estimate.method == .quadrature)
    let mean = Array(expected[0..<n])
    // A zero logit's own jitter, which the nested rule leaves out, adds r²/3 to the second moment of its coordinate.
    func square(_ k: Int, _ l: Int) -> Double {
      expected[n + k * n + l] * (k == l && logits[k] == 0 ? 1 + r * r / 3 : 1)
    }
    let scale = (0..<n).map { square($0, $0).squareRoot() }.max() ?? 0
    let place = "\(logits) \(r)"
    expectClose(estimate.moments.mean, mean, relative: 1e-11, scale: scale, to: worst, quantity: "mean", place)
    let covariance = (0..<n).flatMap { k in (0..<n).map { square(k, $0) - mean[k] * mean[$0] } }
    let found = try #require(estimate.moments.covariance)
    expectClose(
      found.elements, covariance, relative: 1e-11, scale: scale * scale, to: worst, quantity: "covariance", place)
    let value = try JitterExpectation.expectedLoss(of: estimator, on: problem)
    expectClose([value.value], [expected[n + n * n]], relative: 1e-11, to: worst, quantity: "loss", place)
    #expect(estimate.meanError <= 1e-10 * scale && estimate.varianceError <= 1e-9 * scale * scale)
  }

  /// The target against GSL's numerical derivative of the nested quadrature of the loss, which knows nothing of boundaries.
  @Test(arguments: cases.filter { $0.0.count == 2 || [0.1, 0.2, 0.3].contains($0.1) })
  func derivativeOfTheLoss(_ logits: [Double], _ r: Double) throws {
    let problem = try JitterProblems.mixture(logits)
    let (_, loss, matrix) = try problem.computableMixture()
    let directions = matrix.asRows
    let target = try JitterExpectation.targetGradient(of: Switch(jitter: r), on: problem)
    let scale = target.gradient.map(\.magnitude).max() ?? 0
    for k in logits.indices {
      let slope = try derivative(
        of: { theta in
          var moved = logits
          moved[k] = theta
          let mean = try? JitterProblems.mean(
            of: { x, _ in [JitterProblems.loss(x, loss, directions)] }, logits: moved, r: r, count: 1)
          return mean?[0] ?? .nan
        }, at: logits[k], step: 1e-3)
      let error = (slope.value - target.gradient[k]).magnitude
      worst.record(error / scale, of: "target", at: "\(logits) \(r)")
      #expect(error <= 10 * slope.error + target.error + 1e-9 * scale, "\(logits) \(r) expert \(k)")
    }
  }

  /// With eight experts: the derivative of the expected loss.
  @Test(arguments: [0.1, 0.4]) func derivativeWithEightExperts(_ r: Double) throws {
    let logits = [1, 1.1, 0.95, -0.3, 1.05, 0.8, 0.4, 1.12]
    let estimator = Switch(jitter: r)
    let target = try JitterExpectation.targetGradient(of: estimator, on: JitterProblems.mixture(logits))
    #expect(target.method == .quadrature)
    for k in [0, 3, 7] {
      let slope = try derivative(
        of: { theta in
          var moved = logits
          moved[k] = theta
          return (try? JitterExpectation.expectedLoss(of: estimator, on: JitterProblems.mixture(moved)).value) ?? .nan
        }, at: logits[k], step: 1e-2)
      let error = (slope.value - target.gradient[k]).magnitude
      worst.record(error, of: "target, N = 8", at: "r=\(r)")
      #expect(error <= 10 * slope.error + target.error + 1e-9, "r=\(r) expert \(k)")
    }
  }
}
