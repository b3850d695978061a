import RoutingCore

/// An estimator that can be run: one sample of the gradient for each call, from any random numbers.
///
/// The least that a Monte Carlo engine needs. Estimators with finitely many outcomes are sampled from their list; those
/// with continuous noise conform to this. Where moments are known from integrals, it conforms to
/// ``IntegratedEstimator`` as well; what is known of the samples' size it says in ``bounds(on:)``. With
/// both, samples of other code can be held against it.
public protocol SamplingEstimator: GradientEstimator {
  /// What draws samples on one problem.
  associatedtype Sampler: GradientSampler

  /// Prepares to sample on a problem: everything that does not depend on the random numbers is done here.
  ///
  /// - Throws: ``Unavailable`` if the estimator is not defined there, or needs an evaluation that the
  ///   problem's table does not hold.
  func sampler(on problem: RoutedProblem) throws(Unavailable) -> Sampler

  /// What every sample on a problem lies between, whatever the random numbers.
  ///
  /// - Throws: ``Unavailable`` if no bounds are known, which is so unless a type states them, or the problem
  ///   cannot give what they follow from.
  func bounds(on problem: RoutedProblem) throws(Unavailable) -> SampleBounds
}

extension SamplingEstimator {
  public var randomness: Randomness { .continuous(self) }

  public func bounds(on problem: RoutedProblem) throws(Unavailable) -> SampleBounds {
    throw Unavailable("has neither a finite list of outcomes nor known bounds of its samples")
  }
}

/// Draws gradient samples of one estimator on one problem.
public protocol GradientSampler: Sendable {
  /// One sample, `[experts]`; zero outside the support.
  func sample(using generator: inout some RandomNumberGenerator) -> [Double]
}
