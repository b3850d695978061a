import RoutingCore
import RoutingEstimators
import RoutingExpectations
import RoutingVerification
import Testing
import _TestSupport

private let worst = WorstError("order of accuracy")

/// Measured orders of accuracy against the theory that the estimators declare.
@Suite(.reporting(worst)) struct OrderMeasurementTests {
  /// How far a slope may be from `p + 1` where Float64 leaves enough of the bias to fit: rules up to order 4.
  static let tolerance = 0.01
  /// How far it may be for rules of higher order and for the Fehlberg pair, whose bias reaches rounding
  /// before it is asymptotic: enough to tell one order from the next.
  static let coarseTolerance = 0.5
  /// A fit with a larger standard error than this says nothing about the order.
  static let largestStandardError = 0.05

  static let problems: [TestProblem] = {
    let files = ["categorical-8", "mixtures-8", "reinmax-polynomial"]
    let all = files.flatMap { file -> [TestProblem] in
      let problems = (try? Fixtures.decode(ProblemsFile.self, from: "problems/\(file).json").problems) ?? []
      return problems.compactMap { problem in
        (try? RoutedProblem(problem.problem())).map { TestProblem(problem.name ?? file, $0) }
      }
    }
    return all
  }()

  @Test func problemsAreRead() { #expect(Self.problems.count >= 8) }

  @Test(arguments: problems)
  func slopesAgreeWithTheory(_ problem: TestProblem) throws {
    for measurement in OrderMeasurement.measurements(on: problem.problem) {
      let place = "\(measurement.estimator.specification) on \(problem.name)"
      switch measurement.outcome {
      case .exact: #expect(Self.mayBeExact(measurement.estimator, on: problem), "\(place) measures as exact")
      case .slope(let slope, let standardError):
        guard let order = measurement.theoretical else {
          Issue.record("\(place) has a slope and no order")
          continue
        }
        guard Self.isSmooth(problem), standardError <= Self.largestStandardError else {
          #expect(
            !Self.isSmooth(problem) || Self.isCoarse(measurement.estimator), "\(place): ±\(standardError)")
          continue
        }
        let tolerance = Self.isCoarse(measurement.estimator) ? Self.coarseTolerance : Self.tolerance
        worst.record(
          slope - Double(order + 1), of: tolerance == Self.tolerance ? "slope" : "slope, high order",
          at: place)
        expectClose(slope, Double(order + 1), within: tolerance, "\(place) ± \(standardError)")
      case .undetermined(let reason):
        // Integrals of REBAR and RELAX end at three experts.
        if reason == "has moments that are sampled, which show no order" {
          #expect(
            measurement.estimator.claims.exactness == .all && problem.problem.distribution.support.count > 3, "\(place)"
          )
          continue
        }
        #expect(!Self.isSmooth(problem) || Self.isCoarse(measurement.estimator), "\(place): \(reason)")
      }
    }
  }

  static func isCoarse(_ estimator: any GradientEstimator) -> Bool {
    guard let quadrature = (estimator as? Quadrature)?.quadrature else { return false }
    return quadrature.degree > 4 || quadrature.name.hasPrefix("rkf")
  }

  /// Powers that are not whole, or change sign within the ray, have no expansion beyond their own exponent.
  static func isSmooth(_ problem: TestProblem) -> Bool {
    !problem.name.contains("power") && !problem.name.contains("1.5")
  }

  static func mayBeExact(_ estimator: any GradientEstimator, on problem: TestProblem) -> Bool {
    if estimator.claims.exactness == .all { return true }
    guard let order = estimator.claims.order else { return false }
    // Nothing is drawn where all experts are.
    if let subsets = estimator.claims.subsets, subsets.sizes.lowerBound >= problem.problem.experts { return true }
    if problem.name.contains("linear") { return order >= 1 }
    if problem.name.contains("quadratic") || problem.name.hasSuffix("polynomial-2") { return order >= 2 }
    return order >= 3
  }
}
