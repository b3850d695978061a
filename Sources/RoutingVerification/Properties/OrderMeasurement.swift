import CStandardLibrary
import GSLNumerics
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// The order of accuracy of an estimator, measured: how fast its bias falls as the problem is scaled towards linearity.
///
/// A mixture is scaled by `f → h f`; a categorical objective by `f(z) → f(z₀ + h(z − z₀))` with `z₀ = π`. A rule of order p
/// has `‖bias‖ ~ h^{p+1}`.
///
/// *Numerics*: h runs down a geometric grid; of the points whose bias stands clear of rounding the smallest are fitted by
/// `log‖bias‖ = a + s log h + b h + c h²` (least squares, GSL), so that s is the slope at h = 0 and not that of the next
/// order mixed in. The Fehlberg rules need this: their leading coefficient is small, and h ≲ 0.02 leaves few digits.
///
/// *Source*: docs/estimators.md for what is measured; arXiv 2304.08612 and 2310.00811 for the orders claimed.
package struct OrderMeasurement: Sendable {
  /// The estimator.
  package var estimator: any GradientEstimator
  /// What its bias is taken against: the target that it claims.
  package var target: GradientTarget
  /// p, as claimed; nil if none is.
  package var theoretical: Int?
  /// What was found.
  package var outcome: Outcome

  /// What a measurement finds.
  package enum Outcome: Sendable, Equatable {
    /// The bias is rounding at every scale.
    case exact
    /// `p + 1`, with the standard error of the fit.
    case slope(Double, standardError: Double)
    /// Why there is no slope.
    case undetermined(String)
  }

  /// Measures every estimator that claims an order or exactness on the problem's kind, each member of a family of rules.
  package static func measurements(on problem: RoutedProblem) -> [OrderMeasurement] {
    EstimatorRegistry.standard.filter { $0.claims.kinds.contains(problem.kind) }.flatMap(\.family).filter {
      $0.claims.order != nil || $0.claims.exactness == .all
    }.map { OrderMeasurement(of: $0, on: problem) }
  }

  /// Measures one estimator.
  package init(of estimator: any GradientEstimator, on problem: RoutedProblem) {
    self.estimator = estimator
    target = estimator.claims.target
    theoretical = estimator.claims.order
    outcome = Self.measure(estimator, on: problem)
  }
}

extension OrderMeasurement {
  /// h = 2^{−k/2}, from 4 down.
  private static let scales = (-4...44).map { exp2(-Double($0) / 2) }
  /// Every so many of them where moments are integrals, to 1e-5, and claimed to be exact, which takes no slope to see.
  private static let stride = 16
  /// The points that are fitted, and the fewest that will do.
  private static let fitted = 9
  private static let fewest = 6
  /// A bias counts if it is this many times what rounding may have made of it.
  private static let clearance = 2e2
  /// A slope with a larger standard error would not tell an order from the next at ten of them.
  private static let largestError = 0.05

  private static func measure(_ estimator: any GradientEstimator, on problem: RoutedProblem) -> Outcome {
    var usable: [(scale: Double, bias: Double)] = []
    let isIntegrated = estimator.integrated != nil
    let sampled = Outcome.undetermined("has moments that are sampled, which show no order")
    let step = isIntegrated && estimator.claims.exactness == .all ? stride : 1
    for scale in Swift.stride(from: 0, to: scales.count, by: step).map({ scales[$0] }) {
      do {
        let scaled = try problem.scaled(by: scale)
        // Seen before anything is fitted or drawn.
        if estimator is any ControlledRelaxation, scaled.distribution.support.count > ControlledSampler.mostIntegrated {
          return sampled
        }
        let assessment = try Assessment(
          of: estimator, on: scaled,
          options: AssessmentOptions(
            target: estimator.claims.target, integration: IntegrationOptions(tolerance: 1e-5, samples: 2)))
        guard assessment.estimate.method != .monteCarlo else { return sampled }
        guard let bias = assessment.biasNorm else { return .undetermined("the target is not defined") }
        // An integral's own error is no bias.
        let floor = clearance * (try assessment.roundingFloor(on: scaled))
        if bias > floor + assessment.estimate.meanError * Double(problem.experts).squareRoot() {
          usable.append((scale, bias))
        }
      } catch let reason as Unavailable {
        return .undetermined(reason.reason)
      } catch AssessmentError.unavailable(let reason) {
        return .undetermined(reason.reason)
      } catch {
        continue  // too large for Float64 at this scale
      }
    }
    guard !usable.isEmpty else { return .exact }
    let points = usable.suffix(fitted)
    guard points.count >= fewest else {
      return .undetermined("the bias stands clear of rounding at \(points.count) scales only")
    }
    do {
      let fit = try LinearFit(
        rows: points.map { [1, log($0.scale), $0.scale, $0.scale * $0.scale] },
        observations: points.map { log($0.bias) })
      let (slope, error) = (fit.coefficients[1], fit.standardErrors[1])
      guard error <= largestError else {
        func tenths(_ x: Double) -> Double { (10 * x).rounded() / 10 }
        return .undetermined("too near rounding to tell: \(tenths(slope)) ± \(tenths(error))")
      }
      return .slope(slope, standardError: error)
    } catch {
      return .undetermined(error.description)
    }
  }
}

extension Assessment {
  /// The size of the rounding error that a bias may contain: ε times the size of the samples and of the losses.
  fileprivate func roundingFloor(on problem: RoutedProblem) throws(Unavailable) -> Double {
    let p = problem.distribution.probabilities
    let spread = zip(p, problem.distribution.complements).reduce(0) { max($0, $1.0 * $1.1) }
    let losses = zip(p, try problem.values()).reduce(0) { $0 + $1.0 * $1.1.magnitude }
    let samples = (estimate.moments.totalVariance + pow(norm(estimate.moments.mean), 2)).squareRoot()
    return .ulpOfOne * (samples + losses * spread)
  }
}

extension RoutedProblem {
  /// The problem made flatter (h < 1): a mixture's outputs scaled by h, a categorical objective contracted towards π.
  ///
  /// - Throws: `Unavailable` if the loss is a table, `InvalidInput` never for a problem that was valid.
  func scaled(by h: Double) throws -> RoutedProblem {
    switch problem {
    case .mixture(let mixture):
      guard let scaled = mixture.scalingOutputs(by: h) else {
        throw Unavailable("needs the loss as a function, which a table is not")
      }
      return try RoutedProblem(.mixture(scaled), mask: mask)
    case .categorical(let categorical):
      guard case .objective(let objective) = categorical.source else {
        throw Unavailable("needs the objective as a function, which a table is not")
      }
      let contracted = try CategoricalProblem(
        name: categorical.name, logits: categorical.logits,
        objective: Contraction(base: objective, centre: distribution.probabilities, factor: h))
      return try RoutedProblem(.categorical(contracted))
    }
  }
}

/// `z ↦ f(z₀ + h(z − z₀))`.
private struct Contraction: Objective {
  let base: any Objective
  let centre: [Double]
  let factor: Double

  var dimension: Int { base.dimension }

  func value(at point: [Double]) -> Double { base.value(at: image(of: point)) }

  func gradient(at point: [Double]) -> [Double] { base.gradient(at: image(of: point)).map { factor * $0 } }

  private func image(of point: [Double]) -> [Double] {
    zip(point, centre).map { $1 + factor * ($0 - $1) }
  }
}
