import CStandardLibrary
import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

/// Experts so far below the largest that their shares leave Float64's range, while what is multiplied by them does not:
/// right to 1e-12 of the largest coordinate, or refused; never a small number without a word.
@Suite struct UnderflowTests {
  /// `c z₂`.
  private struct SecondEntry: Objective {
    let size: Double
    var dimension: Int { 2 }
    func value(at point: [Double]) -> Double { size * point[1] }
    func gradient(at point: [Double]) -> [Double] { [0, size] }
  }

  /// Soft Gumbel-softmax of two experts at τ = 1, logits (0, −g), F = c p₂. The difference of two Gumbels is logistic, so
  /// `E p₂ = e (e − 1 − d)/(e − 1)²` with `e = e^d`, d = −g, and the mean is c times its derivative, `c e^{−g} (g − 2)` but for
  /// terms in `e^{−2g}`.
  @Test("soft Gumbel-softmax", arguments: [500.0, 650, 700, 705, 715, 730, 745, 760, 800, 1000], [1e20, 1e150, 1e300])
  func soft(_ gap: Double, _ size: Double) throws {
    let linear = try Linear(coefficients: [0, size])
    // The same function, not known to be linear: adaptive quadrature.
    let other = SecondEntry(size: size)
    let halves = (exp(-gap / 2) * size) * exp(-gap / 2)
    let expected = halves * (gap - 2)
    for objective in [linear, other] as [any Objective] {
      let problem = try RoutedProblem(.categorical(CategoricalProblem(logits: [0, -gap], objective: objective)))
      do throws(AssessmentError) {
        let estimate = try EstimatedMoments(of: GumbelSoftmax(), on: problem)
        #expect(
          (estimate.moments.mean[1] - expected).magnitude
            <= 1e-12 * expected + estimate.meanError + .leastNormalMagnitude, "\(estimate.moments.mean), \(expected)")
        #expect(estimate.meanError <= 1e-9 * expected + 0x1p-1020, "\(estimate.meanError), \(expected)")
      } catch {
        switch error {
        case .tolerance: #expect(gap >= 700)
        case .overflow: #expect(size > 1e154)  // of the variance, where the share is not small enough
        default: throw error
        }
      }
    }
  }

  /// What cannot be said more exactly is not refused: a logit far below all others that takes an expert away.
  @Test("an expert that is taken away", arguments: [-800.0, -1e6, -1e9, -1e300])
  func takenAway(_ logit: Double) throws {
    for objective in [try Linear(coefficients: [0, 1, 3]), try SeparablePower(exponent: 3, targets: [0, 1, 2])]
      as [any Objective]
    {
      let problem = try RoutedProblem(
        .categorical(CategoricalProblem(logits: [0, 0.5, logit], objective: objective)))
      let estimate = try EstimatedMoments(
        of: GumbelSoftmax(), on: problem, options: .init(integration: .init(samples: 1000)))
      #expect(estimate.moments.mean[2].magnitude < 1e-300)
    }
  }

  /// Jitter never brings the experts within e^{−g} of each other: with logits a > b and jitter r the mean is
  /// `−c E[e^{x_b − x_a} u_b]` up to terms in its square, a product of two integrals over [1 − r, 1 + r].
  @Test("jitter", arguments: [300.0, 400, 700, 800, 1000], [1e20, 1e100, 1e150, 1e300])
  func jitter(_ top: Double, _ size: Double) throws {
    let (low, r) = (1.0, 1e-4)
    let problem = try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: [top, low], expertOutputs: [[size], [1]], loss: try Linear(coefficients: [1]))))
    /// `∫ e^{θu} u^q du/2r`, times `e^{−θ}`.
    func moment(_ theta: Double, _ q: Int) -> Double {
      let rule = QuadratureRule.gaussLegendre(32)
      return zip(rule.nodes, rule.weights).reduce(0) { sum, node in
        let v = 2 * node.0 - 1
        return sum + node.1 * exp(theta * r * v) * (q == 0 ? 1 : 1 + r * v)
      }
    }
    let gap = top - low
    let mean = -((exp(-gap / 2) * size) * exp(-gap / 2)) * moment(low, 1) * moment(-top, 0)
    do throws(AssessmentError) {
      let estimate = try EstimatedMoments(of: Switch(jitter: r), on: problem)
      #expect((estimate.moments.mean[1] - mean).magnitude <= 1e-12 * mean.magnitude + estimate.meanError + 0x1p-1020)
      let size = (mean * mean + estimate.moments.variance[1]).squareRoot()
      #expect(estimate.meanError <= 1e-9 * size + 0x1p-1020)
      #expect(estimate.varianceError <= 1e-9 * size * size + 0x1p-1020)
    } catch {
      switch error {
      case .tolerance: #expect(gap > 345)
      case .overflow: #expect(size > 1e150)
      default: throw error
      }
    }
  }
}
