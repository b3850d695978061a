import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension GumbelSoftmaxST: IntegratedEstimator {
  public func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    try .straightThrough(
      self, on: problem, target: target, covariance: covariance, options: options, continuing: continuing)
  }
}

extension GumbelRao: IntegratedEstimator {
  public func integrals(
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
  public func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    let estimate = try SoftGumbelExpectation.moments(
      of: self, on: problem, covariance: covariance, options: options, continuing: continuing)
    return Integrals(estimate: estimate, target: try? target.gradient(of: problem))
  }
}

extension Switch: IntegratedEstimator {
  public var hasOwnLoss: Bool { true }

  /// Jitter has its own expected loss, and so its own routing and gating terms; the dense mixture is the problem's, and
  /// a dense backward pass is not defined.
  public func integrals(
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

extension REBAR: IntegratedEstimator {
  public func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    try .controlled(
      self, on: problem, target: target, covariance: covariance, options: options, continuing: continuing)
  }
}

extension RELAX: IntegratedEstimator {
  public func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    try .controlled(
      self, on: problem, target: target, covariance: covariance, options: options, continuing: continuing)
  }
}

extension Integrals {
  /// Integrals where at most three experts may be drawn and the tolerance is met, samples elsewhere.
  fileprivate static func controlled(
    _ estimator: some ControlledRelaxation, on problem: RoutedProblem, target: GradientTarget, covariance: Bool,
    options: IntegrationOptions, continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    let sampler: ControlledSampler
    do throws(Unavailable) { sampler = try estimator.sampler(on: problem) } catch { throw .unavailable(error) }
    let own = try? target.gradient(of: problem)
    if problem.distribution.support.count <= ControlledSampler.mostIntegrated,
      let exact = try ControlledIntegral(sampler, covariance: covariance).moments(
        tolerance: options.tolerance, threads: options.threads, continuing: continuing)
    {
      return Integrals(estimate: exact, target: own)
    }
    do throws(Unavailable) {
      let sampled = try MonteCarlo.moments(
        of: estimator, on: problem,
        sampling: .init(samples: max(options.samples, 2), seed: options.seed, threads: options.threads),
        covariance: covariance, continuing: continuing)
      return Integrals(estimate: sampled.estimate, target: own)
    } catch {
      throw .unavailable(error)
    }
  }
}
