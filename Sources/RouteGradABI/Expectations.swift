// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad

extension AssessmentOptions {
  /// Reads options; the standard ones if there are none.
  init(
    _ options: UnsafePointer<rg_options>?, target: GradientTarget = .expectedLoss, covariance: Bool,
    on problem: ProblemHandle
  ) throws(Failure) {
    self.init(target: target, covariance: covariance)
    guard let options = options?.pointee else { return }
    try requireSize(options.size, of: rg_options.self, "options")
    try IntegrationOptions.toleranceLimit.check("options.tolerance", options.tolerance)
    let threads = problem.threads(try checkedThreads(options.threads, "options.threads"))
    integration = IntegrationOptions(tolerance: options.tolerance, seed: options.seed, threads: threads)
    switch options.method {
    case RG_METHOD_AUTO: break
    case RG_METHOD_MONTE_CARLO:
      try MonteCarlo.samplesLimit.check("options.samples", Int(clamping: options.samples))
      sampling = Sampling(samples: Int(options.samples), seed: options.seed, threads: threads)
    default:
      throw .argument(
        "options.method: expected RG_METHOD_AUTO or RG_METHOD_MONTE_CARLO, got \(options.method.rawValue)")
    }
  }
}

/// A number of threads, if it is within the limit.
func checkedThreads(_ threads: Int, _ name: String) throws(Failure) -> Int {
  try Limit.whole(1...Limit.mostThreads).check(name, threads)
  return threads
}

extension rg_moments_info {
  init(_ estimate: EstimatedMoments) {
    let method: rg_method =
      switch estimate.method {
      case .enumeration: RG_METHOD_ENUMERATION
      case .quadrature: RG_METHOD_QUADRATURE
      case .monteCarlo: RG_METHOD_MONTE_CARLO
      }
    self.init(
      method: method, outcomes: estimate.outcomes.map(Int64.init) ?? -1,
      samples: estimate.samples.map(Int64.init) ?? -1,
      total_variance: estimate.moments.totalVariance, mean_error: estimate.meanError,
      variance_error: estimate.varianceError)
  }
}

extension rg_assessment {
  init(_ assessment: Assessment) {
    self.init(
      bias_norm: assessment.biasNorm ?? .nan, relative_bias: assessment.relativeBias ?? .nan,
      cosine: assessment.cosine ?? .nan, best_scale: assessment.bestScale ?? .nan,
      scaled_relative_bias: assessment.scaledRelativeBias ?? .nan,
      relative_standard_deviation: assessment.relativeStandardDeviation ?? .nan,
      mean_squared_error: assessment.meanSquaredError ?? .nan, signal_to_noise: assessment.signalToNoise ?? .nan,
      descent_probability: assessment.descentProbability ?? .nan, expert_evaluations: assessment.expertEvaluations,
      target_error: assessment.targetError ?? .nan)
  }
}

// MARK: - Targets

@c @implementation
public func rg_expected_loss(_ problem: OpaquePointer?, _ loss: UnsafeMutablePointer<Double>?) -> rg_status {
  reporting { () throws(Failure) in
    let problem: ProblemHandle = try object(problem, "problem")
    let result = try required(loss, "loss")
    let value = try problem.computing { () throws(Failure) in
      do throws(Unavailable) {
        return try problem.routed.expectedLoss()
      } catch {
        throw Failure(error, "the expected loss")
      }
    }
    guard value.isFinite else { throw Failure(RG_OVERFLOW, "the expected loss overflows Float64") }
    result.pointee = value
  }
}

@c @implementation
public func rg_target(
  _ problem: OpaquePointer?, _ target: UnsafePointer<CChar>?, _ gradient: UnsafeMutablePointer<Double>?,
  _ experts: Int
) -> rg_status {
  reporting { () throws(Failure) in
    let problem: ProblemHandle = try object(problem, "problem")
    let target = try RouteGradABI.target(target)
    try problem.requireExperts(experts)
    let result = try required(gradient, "gradient")
    let subject = "the target \(target.rawValue)"
    let values = try problem.computing { () throws(Failure) in
      do throws(Unavailable) {
        return try target.gradient(of: problem.routed)
      } catch {
        throw Failure(error, subject)
      }
    }
    guard values.allSatisfy(\.isFinite) else { throw Failure(RG_OVERFLOW, "\(subject) overflows Float64") }
    copy(values, to: result, count: experts)
  }
}

// MARK: - Moments

@c @implementation
public func rg_moments(
  _ problem: OpaquePointer?, _ estimator: OpaquePointer?, _ options: UnsafePointer<rg_options>?,
  _ mean: UnsafeMutablePointer<Double>?, _ variance: UnsafeMutablePointer<Double>?,
  _ covariance: UnsafeMutablePointer<Double>?, _ experts: Int, _ info: UnsafeMutablePointer<rg_moments_info>?
) -> rg_status {
  reporting { () throws(Failure) in
    let problem: ProblemHandle = try object(problem, "problem")
    let estimator = try object(estimator, "estimator", as: EstimatorHandle.self).estimator
    try problem.requireExperts(experts)
    let options = try AssessmentOptions(options, covariance: covariance != nil, on: problem)
    let estimate = try problem.computing { () throws(Failure) in
      do throws(AssessmentError) {
        return try EstimatedMoments(of: estimator, on: problem.routed, options: options) { _ in problem.goesOn }
      } catch {
        throw Failure(error, estimator.specification)
      }
    }
    copy(estimate.moments.mean, to: mean, count: experts)
    copy(estimate.moments.variance, to: variance, count: experts)
    copy(estimate.moments.covariance?.elements, to: covariance, count: experts * experts)
    info?.pointee = rg_moments_info(estimate)
  }
}

@c @implementation
public func rg_assess(
  _ problem: OpaquePointer?, _ estimator: OpaquePointer?, _ target: UnsafePointer<CChar>?,
  _ options: UnsafePointer<rg_options>?, _ mean: UnsafeMutablePointer<Double>?,
  _ variance: UnsafeMutablePointer<Double>?, _ covariance: UnsafeMutablePointer<Double>?,
  _ targetGradient: UnsafeMutablePointer<Double>?, _ bias: UnsafeMutablePointer<Double>?, _ experts: Int,
  _ info: UnsafeMutablePointer<rg_moments_info>?, _ assessment: UnsafeMutablePointer<rg_assessment>?
) -> rg_status {
  reporting { () throws(Failure) in
    let problem: ProblemHandle = try object(problem, "problem")
    let estimator = try object(estimator, "estimator", as: EstimatorHandle.self).estimator
    let target = try RouteGradABI.target(target)
    try problem.requireExperts(experts)
    let options = try AssessmentOptions(options, target: target, covariance: covariance != nil, on: problem)
    let result = try problem.computing { () throws(Failure) in
      do throws(AssessmentError) {
        return try Assessment(of: estimator, on: problem.routed, options: options) { _ in problem.goesOn }
      } catch {
        throw Failure(error, estimator.specification)
      }
    }
    copy(result.estimate.moments.mean, to: mean, count: experts)
    copy(result.estimate.moments.variance, to: variance, count: experts)
    copy(result.estimate.moments.covariance?.elements, to: covariance, count: experts * experts)
    copy(result.targetGradient, to: targetGradient, count: experts)
    copy(result.bias, to: bias, count: experts)
    info?.pointee = rg_moments_info(result.estimate)
    assessment?.pointee = rg_assessment(result)
  }
}
