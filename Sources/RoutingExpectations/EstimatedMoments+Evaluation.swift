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
          let outcomes = try estimator.finiteOutcomes(on: problem)
          self.init(
            moments: outcomes.moments(covariance: options.covariance), method: .enumeration,
            outcomes: outcomes.count, meanError: 0, varianceError: 0)
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
