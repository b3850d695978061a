import RoutingCore
import RoutingEstimators

/// A verdict with what it rests on.
public struct Evidence: Sendable {
  /// The verdict.
  public var verdict: Verdict
  /// What the samples were held against.
  public var claim: Claim
  /// The rates and tolerances asked for.
  public var criteria: Criteria
  /// ε, absolute.
  public var tolerance: Double
  /// δ, absolute, per coordinate.
  public var detectableBias: Double
  /// The samples, or outcomes, that the verdict rests on.
  public var samples: Int
  /// The smallest bias of a coordinate that so many samples find with a probability of 1 − β; nil where no statistics
  /// were needed.
  public var smallestDetectableBias: Double?
  /// The samples that the detectable bias calls for; nil where no statistics were needed.
  public var requiredSamples: Int?
  /// The parts, each with what it found.
  public var parts: [Part]
  /// What refutes the claim, where one sample or number does.
  public var counterExample: ForeignCounterExample?
  /// The seed of the samples; nil for samples that came from outside.
  public var seed: UInt64?

  /// One of the comparisons that were made.
  public enum Part: Sendable {
    /// Outcome by outcome.
    case conformance(Conformance)
    /// Exact moments.
    case moments(ExactMomentComparison)
    /// The sequential test of the mean.
    case mean(Mean)
    /// The sequential test of the choices.
    case frequencies(Frequencies)
  }

  /// Gradients compared outcome by outcome.
  public struct Conformance: Sendable, Equatable {
    /// Proved if every outcome of positive probability was seen, consistent if some were not, or refuted.
    public var verdict: Verdict
    /// The outcomes that were seen.
    public var outcomesSeen: Int
    /// The outcomes of positive probability that are told apart.
    public var outcomes: Int
    /// The probability of those not seen.
    public var unseenProbability: Double
    /// The largest deviation of a coordinate.
    public var largestDeviation: Double
  }

  /// The sequential test of the mean.
  public struct Mean: Sendable, Equatable {
    /// Consistent, refuted or undecided; with choices by the joint evidence.
    public var verdict: Verdict
    /// The samples that it rests on.
    public var samples: Int
    /// The logarithm of its e-value.
    public var logEValue: Double
    /// The logarithm of the e-value that decides: with the choices' averaged in.
    public var jointLogEValue: Double
    /// The mean of the samples, `[experts]`.
    public var sampleMean: [Double]
    /// Simultaneous intervals, anytime-valid, of level 1 − β.
    public var intervals: [ClosedRange<Double>]
    /// How many coordinates cannot be off by δ.
    public var coordinatesPassed: Int
    /// The coordinate that speaks most against the claim.
    public var worstCoordinate: Int
    /// How ``jointLogEValue`` came about.
    package var path: [EValuePath.Point]
  }

  /// The sequential test of the choices.
  public struct Frequencies: Sendable, Equatable {
    /// The logarithm of its e-value.
    public var logEValue: Double
    /// The number of choices.
    public var samples: Int
    /// The outcomes that are told apart.
    public var outcomes: Int
  }
}
