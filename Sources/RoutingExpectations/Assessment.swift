import RoutingCore
import RoutingEstimators

/// How moments were obtained.
public enum MomentMethod: String, Sendable {
  /// Every outcome, weighed by its probability.
  case enumeration
  /// Numerical integration.
  case quadrature
  /// Seeded samples; errors are standard errors.
  case monteCarlo = "monte-carlo"
}

/// Moments, and what is known about their error.
public struct EstimatedMoments: Sendable, Equatable {
  /// Mean and covariance.
  public var moments: Moments
  /// How they were obtained.
  public var method: MomentMethod
  /// The number of outcomes enumerated; nil for other methods, and past Int's range.
  public var outcomes: Int?
  /// The largest error of a coordinate of the mean: 0, a bound, or a standard error.
  public var meanError: Double
  /// The largest error of a coordinate of the variance, likewise.
  public var varianceError: Double
  /// The number of samples, for Monte Carlo.
  public var samples: Int?

  /// States moments and how they were obtained.
  public init(
    moments: Moments, method: MomentMethod, outcomes: Int?, meanError: Double, varianceError: Double,
    samples: Int? = nil
  ) {
    self.moments = moments
    self.method = method
    self.outcomes = outcomes
    self.meanError = meanError
    self.varianceError = varianceError
    self.samples = samples
  }
}

/// What is reported of one estimator on one problem: its exact moments held against a target.
///
/// With `∇` the target: bias `E ĝ − ∇`; relative bias `‖bias‖/‖∇‖`; cosine of `E ĝ` and `∇`; best scale
/// `s* = ⟨E ĝ, ∇⟩/‖E ĝ‖²` and the relative bias that `s* ĝ` keeps; `tr Cov ĝ`; `√(tr Cov)/‖∇‖`;
/// `‖bias‖² + tr Cov`; `‖E ĝ‖²/tr Cov`; `P(ĝ·∇ > 0)`.
///
/// *Edge cases*: a ratio with a zero denominator is nil, and so is everything that needs a target which is not defined.
///
/// *Source*: these definitions; docs/estimators.md has them in a table, docs/numerics.md how they are formed.
public struct Assessment: Sendable {
  /// The estimator.
  public var estimator: any GradientEstimator
  /// What it is held against.
  public var target: GradientTarget
  /// `∇`, or nil where the target is not defined.
  public var targetGradient: [Double]?
  /// The largest error of a coordinate of `∇`, where that is an integral (jitter has its own expected loss); else nil.
  public var targetError: Double?
  /// Mean and covariance with their errors.
  public var estimate: EstimatedMoments
  /// `E ĝ − ∇`.
  public var bias: [Double]?
  /// `‖bias‖`; under Monte Carlo the noise `tr Cov/n` is taken off its square.
  public var biasNorm: Double?
  /// `‖bias‖/‖∇‖`.
  public var relativeBias: Double?
  /// The cosine of `E ĝ` and `∇`.
  public var cosine: Double?
  /// `s*`.
  public var bestScale: Double?
  /// `‖s* E ĝ − ∇‖/‖∇‖`.
  public var scaledRelativeBias: Double?
  /// `√(tr Cov)/‖∇‖`.
  public var relativeStandardDeviation: Double?
  /// `‖bias‖² + tr Cov`.
  public var meanSquaredError: Double?
  /// `‖E ĝ‖²/tr Cov`.
  public var signalToNoise: Double?
  /// `P(ĝ·∇ > 0)`.
  public var descentProbability: Double?
  /// The evaluations of an expert (and the loss) that a sample costs.
  public var expertEvaluations: Double
}

/// A result that Float64 cannot hold.
public struct Overflow: Error, Sendable, Equatable, CustomStringConvertible {
  /// What overflowed, for example `mean of reinforce`.
  public let quantity: String

  package init(quantity: String) { self.quantity = quantity }

  public var description: String { "\(quantity) overflows Float64" }
}

/// Why an assessment does not exist.
public enum AssessmentError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The estimator is not defined on the problem, or lacks data.
  case unavailable(Unavailable)
  /// A result that Float64 cannot hold.
  case overflow(Overflow)
  /// An integral whose tolerance is out of reach.
  case tolerance(ToleranceNotReached)
  /// An integral that the caller called off.
  case interrupted

  public var description: String {
    switch self {
    case .unavailable(let reason): reason.description
    case .overflow(let overflow): overflow.description
    case .tolerance(let failure): failure.description
    case .interrupted: "called off"
    }
  }
}

/// What to compute of an estimator.
public struct AssessmentOptions: Sendable, Equatable {
  /// What estimators are held against.
  public var target: GradientTarget
  /// Whether the full covariance is wanted.
  public var covariance: Bool
  /// This many samples instead of exact moments; nil for exact ones.
  public var sampling: Sampling?
  /// How integrals are done where the noise is continuous.
  public var integration: IntegrationOptions

  /// Monte Carlo instead of exact moments.
  public struct Sampling: Sendable, Equatable {
    /// The number of samples.
    public var samples: Int
    /// The seed.
    public var seed: UInt64
    /// The number of threads; it does not change the result.
    public var threads: Int

    /// Asks for samples.
    public init(samples: Int, seed: UInt64, threads: Int = 1) {
      self.samples = samples
      self.seed = seed
      self.threads = threads
    }
  }

  /// Asks for exact moments against a target, unless told otherwise.
  public init(
    target: GradientTarget = .expectedLoss, covariance: Bool = false, sampling: Sampling? = nil,
    integration: IntegrationOptions = IntegrationOptions()
  ) {
    self.target = target
    self.covariance = covariance
    self.sampling = sampling
    self.integration = integration
  }
}
