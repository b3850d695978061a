import RoutingCore
import RoutingEstimators

extension Assessment {
  /// Assesses an estimator on a problem.
  ///
  /// - Parameters:
  ///   - estimator: what is assessed.
  ///   - problem: on which problem.
  ///   - options: against what and how.
  ///   - continuing: told now and then how many samples there are, or evaluations of an integral (0 for that of a target
  ///     beside samples); false ends a run with the samples drawn, and calls an integral off.
  /// - Throws: ``AssessmentError/unavailable(_:)`` where the estimator is not defined or lacks data,
  ///   ``AssessmentError/overflow(_:)`` where a result is too large for Float64, ``AssessmentError/tolerance(_:)`` where an
  ///   integral's tolerance is out of reach, ``AssessmentError/interrupted`` where an integral was called off.
  public init(
    of estimator: any GradientEstimator, on problem: RoutedProblem,
    options: AssessmentOptions = AssessmentOptions(),
    continuing: (_ samples: Int) -> Bool = { _ in true }
  ) throws(AssessmentError) {
    var target = try? options.target.gradient(of: problem, as: estimator.claims)
    var integrals: Integrals?
    if let integrated = estimator.integrated, options.sampling == nil || integrated.hasOwnLoss {
      // Beside samples the target need be no better than their noise allows to see.
      var integration = options.integration
      if let sampling = options.sampling {
        integration.tolerance = max(integration.tolerance, 1e-3 / Double(max(sampling.samples, 1)).squareRoot())
      }
      do throws(IntegrationError) {
        integrals = try integrated.integrals(
          on: problem, target: options.target, covariance: options.covariance, options: integration,
          continuing: { continuing(options.sampling == nil ? $0 : 0) })
      } catch {
        throw AssessmentError(error)
      }
      target = integrals?.target
    }
    let estimate: EstimatedMoments
    var descent: Double?
    do throws(Unavailable) {
      if let sampling = options.sampling {
        let run = try MonteCarlo.moments(
          of: estimator, on: problem, sampling: sampling, covariance: options.covariance,
          descentAlong: target, continuing: continuing)
        estimate = run.estimate
        descent = run.descentProbability
      } else if let integrals {
        estimate = integrals.estimate
      } else {
        let found = try EstimatedMoments.enumerated(estimator, on: problem, covariance: options.covariance)
        estimate = found.estimate
        descent = target.flatMap { found.outcomes?.descentProbability(along: $0) }
      }
    } catch {
      throw .unavailable(error)
    }
    try self.init(
      estimator: estimator, target: options.target, targetGradient: target, targetError: integrals?.targetError,
      estimate: estimate, descentProbability: descent,
      expertEvaluations: estimator.claims.expertEvaluations.count(on: problem))
  }

  /// Holds moments against a target.
  ///
  /// - Throws: ``AssessmentError/overflow(_:)`` if a number is not finite.
  init(
    estimator: any GradientEstimator, target: GradientTarget, targetGradient: [Double]?, targetError: Double? = nil,
    estimate: EstimatedMoments, descentProbability: Double?, expertEvaluations: Double
  ) throws(AssessmentError) {
    let moments = estimate.moments
    func requireFinite(_ isFinite: Bool, _ quantity: String) throws(AssessmentError) {
      if !isFinite { throw .overflow(Overflow(quantity: quantity)) }
    }
    try requireFinite(targetGradient?.allSatisfy(\.isFinite) ?? true, "the target \(target.rawValue)")
    try requireFinite(moments.mean.allSatisfy(\.isFinite), "the mean of \(estimator.specification)")
    try requireFinite(moments.isFinite, "the variance of \(estimator.specification)")
    try requireFinite(
      estimate.meanError.isFinite && estimate.varianceError.isFinite && targetError?.isFinite ?? true,
      "an error of \(estimator.specification)")

    self.estimator = estimator
    self.target = target
    self.targetGradient = targetGradient
    self.targetError = targetError
    self.estimate = estimate
    self.expertEvaluations = expertEvaluations

    let comparison = TargetComparison(of: moments, with: targetGradient, samples: estimate.samples)
    bias = comparison.bias
    biasNorm = comparison.biasNorm
    relativeBias = comparison.relativeBias
    cosine = comparison.cosine
    bestScale = comparison.bestScale
    scaledRelativeBias = comparison.scaledRelativeBias
    relativeStandardDeviation = comparison.relativeStandardDeviation
    meanSquaredError = comparison.meanSquaredError
    signalToNoise = comparison.signalToNoise
    self.descentProbability = targetGradient.map(norm) ?? 0 > 0 ? descentProbability : nil
    // The signal-to-noise ratio stands by itself where there is no target, and was not refused then.
    try requireFinite(targetGradient == nil || comparison.isFinite, "a ratio of \(estimator.specification)")
  }
}

extension AssessmentError {
  init(_ error: IntegrationError) {
    switch error {
    case .unavailable(let reason): self = .unavailable(reason)
    case .tolerance(let failure): self = .tolerance(failure)
    case .interrupted: self = .interrupted
    }
  }
}

extension OutcomeDistribution {
  /// `P(ĝ·direction > 0)`, or nil if there are too many outcomes to write out.
  package func descentProbability(along direction: [Double]) -> Double? {
    // Signs only count: both sides are brought to the size of one, so that no product underflows.
    let size = direction.reduce(0) { max($0, $1.magnitude) }
    guard size > 0 else { return 0 }
    let direction = direction.map { $0 / size }
    let drift = distribution.driftFromArgmax(direction)
    let top = direction[distribution.argmax]
    var sum = CompensatedSum()
    if samples <= 2, let pairs = outcomes.pairs {
      let slopes = direction.map { ($0 - top) - drift }
      pairs.forEachDraw { i, events in
        let second = pairs.follow(i)
        let (origin, shift) = (direction[second.argmax], second.driftFromArgmax(direction))
        for event in events {
          let (s, t) = event.weights
          let largest = max(s.magnitude, t.magnitude)
          guard largest > 0 else { continue }
          let slope = (direction[Int(event.second)] - origin) - shift
          if s / largest * slopes[i] + t / largest * slope > 0 {
            sum += pairs.probability(of: event, after: i, second)
          }
        }
      }
      return min(sum.value, 1)
    }
    guard let all = try? enumerated() else { return nil }
    for outcome in all {
      // A multiple of the score goes up where `Σ_j π_j (direction_D − direction_j)` does, whose terms do not cancel.
      if case .score(let weight) = outcome.gradient {
        let slope = (direction[outcome.choice[0]] - top) - drift
        if weight > 0 && slope > 0 || weight < 0 && slope < 0 { sum += outcome.probability }
        continue
      }
      let sample = gradient(of: outcome)
      let largest = sample.reduce(0) { max($0, $1.magnitude) }
      if largest > 0, dot(sample.map { $0 / largest }, direction) > 0 { sum += outcome.probability }
    }
    return min(sum.value, 1)
  }
}
