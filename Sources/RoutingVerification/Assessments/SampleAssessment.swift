import CStandardLibrary
import GSLNumerics
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// The bias and variance of an estimator of which samples, or outcomes with their probabilities, are all that is known.
///
/// From outcomes it is exact. From n samples it is an estimate, and ``Precision`` says how good.
package struct SampleAssessment: Sendable, Equatable {
  /// What it is held against.
  package var target: GradientTarget
  /// `∇`, `[experts]`.
  package var targetGradient: [Double]
  /// The number of samples, or of outcomes.
  package var count: Int
  /// Mean and variance; of samples the unbiased one.
  package var moments: Moments
  /// These held against the target.
  package var comparison: TargetComparison
  /// `P(ĝ·∇ > 0)`; nil if ∇ is zero.
  package var descentProbability: Double?
  /// What samples leave open; nil for outcomes.
  package var precision: Precision?

  /// Limits within which the true values lie, each at the confidence stated.
  ///
  /// One bootstrap gives r, with `P(‖mean − E ĝ‖ ≤ r) ≈ confidence`, and what follows from the mean follows from that ball, near zero
  /// as elsewhere: the bias has the norm `‖b‖ ± r`, the angle to ∇ changes by at most `asin(r/‖mean‖)`. Scalars (the variance, the
  /// squared error) have bootstraps of their own, `P(descent)` has Clopper's and Pearson's limits.
  ///
  /// *Edge cases*: limits are approximate, and too narrow as long as what is rare and large has not been sampled
  /// (docs/measurements/assess-coverage.md). Two or three samples have none: the radius is infinite.
  package struct Precision: Sendable, Equatable {
    /// The confidence of each interval.
    package var confidence: Double
    /// The seed of the bootstrap.
    package var seed: UInt64
    /// The number of bootstrap replicates.
    package var resamples: Int
    /// The number of blocks that were resampled.
    package var blocks: Int
    /// r.
    package var meanRadius: Double
    /// Of `‖bias‖`.
    package var biasNorm: ClosedRange<Double>
    /// Of `‖bias‖/‖∇‖`.
    package var relativeBias: ClosedRange<Double>?
    /// Of the cosine.
    package var cosine: ClosedRange<Double>?
    /// Of `tr Cov`.
    package var totalVariance: ClosedRange<Double>
    /// Of `√(tr Cov)/‖∇‖`.
    package var relativeStandardDeviation: ClosedRange<Double>?
    /// Of `E‖ĝ − ∇‖²`.
    package var meanSquaredError: ClosedRange<Double>
    /// Of `P(ĝ·∇ > 0)`.
    package var descentProbability: ClosedRange<Double>?
  }

  /// How to say what samples leave open.
  package struct Options: Sendable, Equatable {
    /// Of each interval.
    package var confidence: Double
    /// The seed of the bootstrap.
    package var seed: UInt64
    /// The number of threads; it does not change the result.
    package var threads: Int

    /// What a confidence may be.
    package static let confidenceLimit = Limit<Double>("a number from 0.5 to 0.999") { (0.5...0.999).contains($0) }
    /// How many experts samples may draw.
    package static let drawsLimit = Limit.whole(1...2)
    /// Unless it is stated.
    package static let standardConfidence = 0.95

    /// Asks for intervals of 95 %, unless told otherwise.
    package init(confidence: Double = standardConfidence, seed: UInt64 = 0, threads: Int = 1) {
      self.confidence = confidence
      self.seed = seed
      self.threads = threads
    }
  }

  /// Exact, from all that can happen.
  ///
  /// - Parameters:
  ///   - outcomes: with probabilities that sum to 1, each of as many coordinates as the target.
  ///   - target: what they are held against.
  ///   - gradient: the target's gradient.
  /// - Throws: ``Overflow``.
  package init(
    of outcomes: [ForeignOutcome], against target: GradientTarget, gradient: [Double]
  ) throws(Overflow) {
    let moments = Moments(of: outcomes, coordinates: gradient.count)
    var descents = CompensatedSum()
    let direction = Self.direction(of: gradient)
    for outcome in outcomes where Self.descends(outcome.gradient, along: direction) { descents += outcome.probability }
    try self.init(
      target: target, gradient: gradient, count: outcomes.count, moments: moments,
      descentProbability: min(descents.value, 1), samples: nil)
  }

  init(
    target: GradientTarget, gradient: [Double], count: Int, moments: Moments, descentProbability: Double, samples: Int?
  ) throws(Overflow) {
    func requireFinite(_ isFinite: Bool, _ quantity: String) throws(Overflow) {
      if !isFinite { throw Overflow(quantity: quantity) }
    }
    try requireFinite(gradient.allSatisfy(\.isFinite), "the target \(target.rawValue)")
    try requireFinite(moments.mean.allSatisfy(\.isFinite), "the mean of the samples")
    try requireFinite(moments.isFinite, "the variance of the samples")
    let comparison = TargetComparison(of: moments, with: gradient, samples: samples)
    try requireFinite(comparison.isFinite, "a ratio of the samples")
    self.target = target
    targetGradient = gradient
    self.count = count
    self.moments = moments
    self.comparison = comparison
    self.descentProbability = norm(gradient) > 0 ? descentProbability : nil
  }

  /// A vector over the size of its largest entry, of which products are safe; itself if it is zero.
  static func direction(of vector: [Double]) -> [Double] {
    let largest = vector.reduce(0) { max($0, $1.magnitude) }
    return largest > 0 ? vector.map { $0 / largest } : vector
  }

  /// Whether `sample·direction > 0`.
  static func descends(_ sample: some Collection<Double>, along direction: [Double]) -> Bool {
    let largest = sample.reduce(0) { max($0, $1.magnitude) }
    guard largest > 0 else { return false }
    var product = 0.0
    for (x, slope) in zip(sample, direction) { product += x / largest * slope }
    return product > 0
  }
}

/// Collects samples of an estimator, and says what bias and variance it has.
///
/// Memory does not grow with their number (``SampleBlockTally``).
package struct SampleAssessor: Sendable {
  private let target: GradientTarget
  private let gradient: [Double]
  private let direction: [Double]
  private var tally: SampleBlockTally
  private var descents = 0

  /// Prepares to hold samples against a target's gradient.
  package init(against target: GradientTarget, gradient: [Double]) {
    self.target = target
    self.gradient = gradient
    direction = SampleAssessment.direction(of: gradient)
    tally = SampleBlockTally(coordinates: gradient.count)
  }

  /// The number of samples so far.
  package private(set) var count = 0

  /// Adds samples, `[samples][experts]`.
  package mutating func add(_ samples: UnsafeBufferPointer<Double>) {
    precondition(samples.count % gradient.count == 0, "samples have \(gradient.count) coordinates each")
    for start in stride(from: 0, to: samples.count, by: gradient.count)
    where SampleAssessment.descends(samples[start..<start + gradient.count], along: direction) {
      descents += 1
    }
    count += samples.count / gradient.count
    tally.add(samples)
  }

  /// What the samples so far say.
  ///
  /// - Precondition: at least two samples.
  /// - Throws: ``Overflow``.
  package func assessment(_ options: SampleAssessment.Options = .init()) throws(Overflow) -> SampleAssessment {
    var tally = tally
    tally.settle()
    guard let total = tally.total, total.count >= 2 else { preconditionFailure("a variance needs two samples") }
    var assessment = try SampleAssessment(
      target: target, gradient: gradient, count: total.count, moments: total.estimate().moments,
      descentProbability: Double(descents) / Double(total.count), samples: total.count)
    let bootstrap = MeanBootstrap(
      of: tally.blocks, target: gradient, confidence: options.confidence, seed: options.seed, threads: options.threads)
    let radius = bootstrap.meanRadius
    let (distance, size) = (norm(assessment.comparison.bias ?? []), norm(gradient))
    // The point, from whose square the noise is taken, lies within, however small the radius.
    let point = assessment.comparison.biasNorm ?? distance
    let bias = min(max(0, distance - radius), point)...(distance + radius)
    let descents = binomialLimits(successes: descents, of: total.count, confidence: options.confidence)
    func relative(_ range: ClosedRange<Double>) -> ClosedRange<Double>? {
      size > 0 ? range.lowerBound / size...range.upperBound / size : nil
    }
    let variance = bootstrap.variance
    assessment.comparison.meanSquaredError = bootstrap.squaredError.mean
    assessment.precision = SampleAssessment.Precision(
      confidence: options.confidence, seed: options.seed, resamples: bootstrap.resamples, blocks: tally.blocks.count,
      meanRadius: radius, biasNorm: bias, relativeBias: relative(bias),
      cosine: assessment.comparison.cosine.map {
        cosineLimits($0, radius: radius, norm: norm(assessment.moments.mean))
      },
      totalVariance: variance,
      relativeStandardDeviation: relative(variance.lowerBound.squareRoot()...variance.upperBound.squareRoot()),
      meanSquaredError: bootstrap.squaredError.limits,
      descentProbability: size > 0 ? descents : nil)
    return assessment
  }

  /// The cosines of what lies within a ball about a vector, whose own is given.
  private func cosineLimits(_ cosine: Double, radius: Double, norm: Double) -> ClosedRange<Double> {
    guard radius < norm else { return -1...1 }
    let (angle, change) = (acos(cosine), asin(radius / norm))
    let lower = angle + change >= .pi ? -1 : cos(angle + change)
    return lower...max(lower, angle <= change ? 1 : cos(angle - change))
  }
}

extension Moments {
  /// Mean and covariance of a list of outcomes with their probabilities.
  ///
  /// - Precondition: every outcome has so many coordinates.
  init(of outcomes: [ForeignOutcome], coordinates n: Int, covariance isWanted: Bool = false) {
    var sums = [CompensatedSum](repeating: CompensatedSum(), count: n)
    for outcome in outcomes { for k in 0..<n { sums[k] += outcome.probability * outcome.gradient[k] } }
    let mean = sums.map(\.value)
    guard isWanted else {
      var squares = [CompensatedSum](repeating: CompensatedSum(), count: n)
      for outcome in outcomes {
        for k in 0..<n {
          let d = outcome.gradient[k] - mean[k]
          squares[k] += outcome.probability * d * d
        }
      }
      self.init(mean: mean, variance: squares.map(\.value))
      return
    }
    var covariance = Matrix(rows: n, columns: n)
    for outcome in outcomes {
      let d = (0..<n).map { outcome.gradient[$0] - mean[$0] }
      for k in 0..<n where d[k] != 0 {
        for l in 0..<n { covariance[k, l] += outcome.probability * d[k] * d[l] }
      }
    }
    self.init(mean: mean, variance: (0..<n).map { covariance[$0, $0] }, covariance: covariance)
  }
}
