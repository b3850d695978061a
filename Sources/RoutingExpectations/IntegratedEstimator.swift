import RoutingCore
import RoutingEstimators

/// How the expectations of estimators with continuous noise are computed.
public struct IntegrationOptions: Sendable, Equatable {
  /// The relative error that is asked for where none is given.
  public static let standardTolerance = 1e-10
  /// What a tolerance may be.
  package static let toleranceLimit = Limit<Double>.positive
  /// The number of samples where only sampling is left and no number is given.
  public static let standardSamples = 200_000

  /// The relative error allowed; what it is relative to stands with each integral.
  public var tolerance: Double
  /// The number of samples where only sampling is left.
  public var samples: Int
  /// The seed of those samples.
  public var seed: UInt64
  /// The number of threads; it does not change the result.
  public var threads: Int

  /// Asks for integrals.
  public init(
    tolerance: Double = standardTolerance, samples: Int = standardSamples, seed: UInt64 = 0, threads: Int = 1
  ) {
    self.tolerance = tolerance
    self.samples = samples
    self.seed = seed
    self.threads = threads
  }
}

/// What integration says of an estimator on a problem.
public struct Integrals: Sendable {
  /// Mean and covariance.
  public var estimate: EstimatedMoments
  /// The gradient that the estimator is held against, `[experts]`; nil where it is not defined.
  public var target: [Double]?
  /// The error of the target, where that is an integral as well: the largest of a coordinate.
  public var targetError: Double?

  /// States moments and the target that they are held against.
  public init(estimate: EstimatedMoments, target: [Double]?, targetError: Double? = nil) {
    self.estimate = estimate
    self.target = target
    self.targetError = targetError
  }
}

/// An estimator with continuous noise whose moments are known from integrals.
///
/// A type states its own integrals by conforming. Those of this library's estimators are in `NoiseIntegrals`, so that neither
/// the estimators nor this module need GSL: this conformance, which a module above the type's own may add, is the one that
/// is looked for while the program runs.
public protocol IntegratedEstimator: SamplingEstimator {
  /// Whether noise moves its choice in other ways than π does, so that its expected loss is one of its own, and an
  /// integral.
  var hasOwnLoss: Bool { get }

  /// Moments and target.
  ///
  /// - Parameter continuing: told now and then how many evaluations there were, on the caller's thread; false calls the
  ///   integrals off.
  /// - Throws: ``IntegrationError`` where the estimator is not defined, the tolerance is out of reach, or the integrals were
  ///   called off.
  func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals
}

extension IntegratedEstimator {
  public var hasOwnLoss: Bool { false }
}

extension GradientEstimator {
  /// The estimator as one whose moments are known from integrals, or nil if they are not.
  package var integrated: (any IntegratedEstimator)? { self as? any IntegratedEstimator }
}
