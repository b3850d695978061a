import RoutingCore

/// An estimator that can be run: one sample of the gradient for each call, from any random numbers.
///
/// The least that a Monte Carlo engine needs. Estimators with finitely many outcomes are sampled from their list; those
/// with continuous noise conform to this.
public protocol SamplingEstimator: GradientEstimator {
  /// What draws samples on one problem.
  associatedtype Sampler: GradientSampler

  /// Prepares to sample on a problem: everything that does not depend on the random numbers is done here.
  ///
  /// - Throws: ``RoutingCore/Unavailable`` if the estimator is not defined there, or needs an evaluation that the
  ///   problem's table does not hold.
  func sampler(on problem: RoutedProblem) throws(Unavailable) -> Sampler
}

/// Draws gradient samples of one estimator on one problem.
public protocol GradientSampler: Sendable {
  /// One sample, `[experts]`; zero outside the support.
  func sample(using generator: inout some RandomNumberGenerator) -> [Double]
}
