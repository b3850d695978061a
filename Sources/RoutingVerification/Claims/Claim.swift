import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// What foreign samples are held against: a mean, what samples lie between, and, where they can be listed, the outcomes.
public struct Claim: Sendable {
  /// What has this mean: an estimator's specification, or the id of a target.
  public var subject: String
  /// The problem's target, where no estimator is named.
  public var target: GradientTarget?
  /// The estimator, where one is named.
  public var estimator: (any GradientEstimator)?
  /// μ, `[experts]`.
  public var mean: [Double]
  /// A bound on the error of a coordinate of μ; 0 where it was enumerated.
  public var meanError: Double
  /// What samples lie between; μ does too.
  public var bounds: SampleBounds
  /// The standard deviation of each coordinate, `[experts]`, where it is known.
  public var deviation: [Double]?
  /// Every outcome, where there are finitely many.
  public var outcomes: OutcomeDistribution?

  /// The number of coordinates.
  public var coordinates: Int { mean.count }

  /// The claim that samples come from an estimator.
  ///
  /// Mean, standard deviation and bounds follow from the problem: by enumeration, or, where the noise is continuous, by the
  /// integrals and the bounds that the estimator states.
  ///
  /// - Throws: `AssessmentError`: `unavailable` if the estimator is not defined on the problem, a table lacks what it needs
  ///   or an integral does not converge, `overflow` if samples or moments overflow Float64, or their squares do.
  public init(
    _ estimator: any GradientEstimator, on problem: RoutedProblem, threads: Int = 1
  ) throws(AssessmentError) {
    do throws(Unavailable) {
      try self.init(enumerating: estimator, on: problem, threads: threads)
    } catch {
      throw .unavailable(error)
    }
    guard mean.allSatisfy(\.isFinite), deviation?.allSatisfy(\.isFinite) ?? true, hasFiniteSquares else {
      throw .overflow(Overflow(quantity: "a sample or its square"))
    }
    bounds = bounds.including(mean)
  }

  /// The claim, whose numbers may still overflow.
  private init(
    enumerating estimator: any GradientEstimator, on problem: RoutedProblem, threads: Int
  ) throws(Unavailable) {
    subject = estimator.specification
    self.estimator = estimator
    let moments: Moments
    try estimator.requireDefined(on: problem)
    switch estimator.randomness {
    case .continuous(let estimator):
      bounds = try estimator.bounds(on: problem)
      guard let integrated = estimator.integrated else { throw Unavailable("has no known moments") }
      let estimate: EstimatedMoments
      do {
        estimate = try integrated.integrals(
          on: problem, target: estimator.claims.target, covariance: false,
          options: IntegrationOptions(threads: threads),
          continuing: { _ in true }
        ).estimate
      } catch {
        throw Unavailable("\(error)")
      }
      moments = estimate.moments
      meanError = estimate.meanError
    case .finite(let estimator):
      let list = try estimator.outcomes(of: problem)
      moments = list.moments()
      meanError = 0
      bounds = SampleBounds(of: list)
      outcomes = list
    }
    mean = moments.mean
    deviation = moments.variance.map { $0.squareRoot() }
  }

  /// Whether sums of squared samples stay finite, whatever their number: bounds are less than about 1e144 apart.
  private var hasFiniteSquares: Bool {
    let widest = max(bounds.largestRange, bounds.scale)
    return (widest * widest * 0x1p64).isFinite
  }

  /// The claim that samples have an exact gradient as their mean, whoever made them.
  ///
  /// - Parameters:
  ///   - target: which gradient.
  ///   - problem: on which problem.
  ///   - range: what every coordinate of a sample lies between.
  /// - Throws: `AssessmentError`: `unavailable` if the target is not defined on the problem or lies outside of `range`,
  ///   `overflow` if it overflows, or squares of what lies in `range` do.
  public init(
    _ target: GradientTarget, on problem: RoutedProblem, samplesIn range: ClosedRange<Double>
  ) throws(AssessmentError) {
    let gradient: [Double]
    do throws(Unavailable) { gradient = try target.gradient(of: problem) } catch { throw .unavailable(error) }
    guard gradient.allSatisfy(\.isFinite) else {
      throw .overflow(Overflow(quantity: "the target \(target.rawValue)"))
    }
    guard gradient.allSatisfy(range.contains) else {
      let worst = gradient.first { !range.contains($0) } ?? .nan
      throw .unavailable(
        Unavailable(
          "has the coordinate \(worst), outside of the samples' bounds \(range.lowerBound), \(range.upperBound)"))
    }
    self.init(
      subject: target.rawValue, mean: gradient, bounds: SampleBounds(range, coordinates: gradient.count))
    self.target = target
    guard hasFiniteSquares else { throw .overflow(Overflow(quantity: "the square of a bound on the samples")) }
  }

  /// A claim about any mean.
  ///
  /// - Precondition: one bound for each coordinate; the mean lies within them.
  public init(subject: String, mean: [Double], bounds: SampleBounds, outcomes: OutcomeDistribution? = nil) {
    precondition(mean.count == bounds.lower.count, "\(mean.count) coordinates, \(bounds.lower.count) bounds")
    self.subject = subject
    self.mean = mean
    self.meanError = 0
    self.bounds = bounds.including(mean)
    self.outcomes = outcomes
    if let outcomes { deviation = outcomes.moments().variance.map { $0.squareRoot() } }
  }
}

/// How closely, and with which error rates, samples are held against a claim.
public struct Criteria: Sendable, Equatable {
  /// α and β.
  public var rates: ErrorRates
  /// Deviations up to this share of the claim's `SampleBounds.scale` are rounding, not errors: of a gradient given its
  /// outcome, of a mean, and of a sample beyond its bounds.
  public var relativeTolerance: Double
  /// δ as a share of the norm of the claimed mean; absolute if that is zero.
  public var relativeDetectableBias: Double

  /// A hundred roundings of Float32: what a few dozen operations leave. 1e-2 suits BFloat16.
  public static let standardTolerance = 1e-5
  /// What a relative tolerance may be.
  package static let toleranceLimit = Limit.number(0..<1)
  /// What a detectable bias may be.
  package static let detectableBiasLimit = Limit<Double>.positive
  /// A bias of a twentieth of the gradient.
  public static let standardDetectableBias = 0.05

  /// States criteria.
  public init(
    rates: ErrorRates = ErrorRates(), relativeTolerance: Double = standardTolerance,
    relativeDetectableBias: Double = standardDetectableBias
  ) {
    precondition(relativeTolerance >= 0 && relativeTolerance.isFinite, "a tolerance of \(relativeTolerance)")
    precondition(
      relativeDetectableBias > 0 && relativeDetectableBias.isFinite, "a bias of \(relativeDetectableBias)")
    self.rates = rates
    self.relativeTolerance = relativeTolerance
    self.relativeDetectableBias = relativeDetectableBias
  }

  /// ε on a claim: the tolerance times its scale, and the error of its mean.
  package func tolerance(of claim: Claim) -> Double { relativeTolerance * claim.bounds.scale + claim.meanError }

  /// δ on a claim, per coordinate.
  ///
  /// A bias of norm up to `√N δ` has coordinates below δ, so that is what `consistent` leaves possible.
  package func detectableBias(of claim: Claim) -> Double {
    let size = norm(claim.mean)
    return size > 0 ? relativeDetectableBias * size : relativeDetectableBias
  }
}
