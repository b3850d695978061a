import RoutingCore
import RoutingEstimators

extension EstimatedMoments {
  /// Mean, variance and, if asked for, covariance of an estimator, without holding them against a target: the numbers of an
  /// ``Assessment`` at the cost of the moments alone.
  ///
  /// - Parameters:
  ///   - estimator: what is looked at.
  ///   - problem: on which problem.
  ///   - options: how; the target is not looked at.
  ///   - continuing: told now and then how many samples there are, or evaluations of an integral; false ends a run with
  ///     the samples drawn, and calls an integral off.
  /// - Throws: ``AssessmentError/unavailable(_:)`` where the estimator is not defined or lacks data,
  ///   ``AssessmentError/overflow(_:)`` where a result is too large for Float64, ``AssessmentError/tolerance(_:)`` where an
  ///   integral's tolerance is out of reach, ``AssessmentError/interrupted`` where an integral was called off.
  public init(
    of estimator: any GradientEstimator, on problem: RoutedProblem,
    options: AssessmentOptions = AssessmentOptions(), continuing: (_ samples: Int) -> Bool = { _ in true }
  ) throws(AssessmentError) {
    if options.sampling == nil, let integrated = estimator.integrated {
      do throws(IntegrationError) {
        self = try integrated.integrals(
          on: problem, target: .expectedLoss, covariance: options.covariance, options: options.integration,
          continuing: continuing
        ).estimate
      } catch {
        throw AssessmentError(error)
      }
    } else {
      do throws(Unavailable) {
        if let sampling = options.sampling {
          self =
            try MonteCarlo.moments(
              of: estimator, on: problem, sampling: sampling, covariance: options.covariance, continuing: continuing
            ).estimate
        } else {
          self = try Self.enumerated(estimator, on: problem, covariance: options.covariance).estimate
        }
      } catch {
        throw .unavailable(error)
      }
    }
    guard moments.mean.allSatisfy(\.isFinite) else {
      throw .overflow(Overflow(quantity: "the mean of \(estimator.specification)"))
    }
    guard moments.isFinite else {
      throw .overflow(Overflow(quantity: "the variance of \(estimator.specification)"))
    }
    guard meanError.isFinite, varianceError.isFinite else {
      throw .overflow(Overflow(quantity: "an error of \(estimator.specification)"))
    }
  }
}

extension EstimatedMoments {
  /// The moments of a list of outcomes, or without one where they are known and the list would be too long.
  ///
  /// - Throws: `Unavailable` if there is neither.
  static func enumerated(
    _ estimator: any GradientEstimator, on problem: RoutedProblem, covariance: Bool
  ) throws(Unavailable) -> (estimate: EstimatedMoments, outcomes: OutcomeDistribution?) {
    func estimate(_ moments: Moments, outcomes: Int?) -> EstimatedMoments {
      EstimatedMoments(moments: moments, method: .enumeration, outcomes: outcomes, meanError: 0, varianceError: 0)
    }
    do throws(Unavailable) {
      let outcomes = try estimator.finiteOutcomes(on: problem)
      return (estimate(outcomes.moments(covariance: covariance), outcomes: outcomes.count), outcomes)
    } catch {
      guard case .finite(let finite) = estimator.randomness, finite.claims.kinds.contains(problem.kind),
        let moments = try? finite.momentsInClosedForm(on: problem, covariance: covariance)
      else { throw error }
      return (estimate(moments, outcomes: nil), nil)
    }
  }
}
