import RoutingCore
import RoutingEstimators

/// How the expectations of estimators with continuous noise are computed.
public struct IntegrationOptions: Sendable, Equatable {
  /// The relative error that is asked for where none is given.
  public static let standardTolerance = 1e-10
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
struct Integrals {
  /// Mean and covariance.
  var estimate: EstimatedMoments
  /// The gradient that the estimator is held against; nil where it is not defined.
  var target: [Double]?
  /// The error of the target, where that is an integral as well: the largest of a coordinate.
  var targetError: Double?
}

/// An estimator with continuous noise whose moments are known from integrals.
protocol IntegratedEstimator: SamplingEstimator {
  /// Whether noise moves its choice in other ways than π does, so that its expected loss is one of its own, and an
  /// integral.
  var hasOwnLoss: Bool { get }

  /// Moments and target; `continuing` is told now and then how many evaluations there were, on the caller's thread, and calls
  /// the integrals off with false.
  func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals
}

extension IntegratedEstimator {
  var hasOwnLoss: Bool { false }
}

extension GumbelSoftmaxST: IntegratedEstimator {
  func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    try .straightThrough(
      self, on: problem, target: target, covariance: covariance, options: options, continuing: continuing)
  }
}

extension GumbelRao: IntegratedEstimator {
  func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    try .straightThrough(
      self, on: problem, target: target, covariance: covariance, options: options, continuing: continuing)
  }
}

extension Integrals {
  fileprivate static func straightThrough(
    _ estimator: some StraightThroughGumbel, on problem: RoutedProblem, target: GradientTarget, covariance: Bool,
    options: IntegrationOptions, continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    let estimate = try GumbelIntegral.moments(
      of: estimator, on: problem, tolerance: options.tolerance, covariance: covariance, threads: options.threads,
      continuing: continuing)
    return Integrals(estimate: estimate, target: try? target.gradient(of: problem))
  }
}

extension GumbelSoftmax: IntegratedEstimator {
  func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    let estimate = try SoftGumbelExpectation.moments(
      of: self, on: problem, covariance: covariance, options: options, continuing: continuing)
    return Integrals(estimate: estimate, target: try? target.gradient(of: problem))
  }
}

extension Switch: IntegratedEstimator {
  var hasOwnLoss: Bool { true }

  /// Jitter has its own expected loss, and so its own routing and gating terms; the dense mixture is the problem's, and
  /// a dense backward pass is not defined.
  func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    let solution = try JitterExpectation.solution(
      of: self, on: problem, covariance: covariance, options: options, continuing: continuing)
    let own: EstimatedGradient?
    switch target {
    case .expectedLoss: own = solution.target
    case .routingTerm: own = solution.routingTerm
    case .gatingTerm: own = solution.gatingTerm
    case .denseMixture:
      return Integrals(estimate: solution.estimate, target: try? target.gradient(of: problem))
    case .denseBackward: own = nil
    }
    return Integrals(estimate: solution.estimate, target: own?.gradient, targetError: own?.error)
  }
}
