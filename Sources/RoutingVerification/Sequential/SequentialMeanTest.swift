import CStandardLibrary
import RoutingCore
import RoutingEstimators

/// Tests the mean of bounded vectors while they come in, by betting.
///
/// **Refuting.** The hypothesis is `|E x_j − μ_j| ≤ ε` for every coordinate. A gambler who stakes the fraction λ on the next
/// sample being above `μ + ε` has the capital `K = Π (1 + λ_s (x_s − (μ + ε)))`; λ ≥ 0 depends on the past only and keeps the
/// factors above ½. If the hypothesis is true no factor has a mean above 1, so K is an *e-process*: it exceeds 1/α with a
/// probability of at most α, over all times together. The same from below with `μ − ε`. Averages of e-processes with a
/// common filtration are e-processes whatever the dependence, and ``logEValue`` is the logarithm of the average over all
/// coordinates, both signs and two ways to stake:
/// - *design*: `λ = g/(σ̂² + g²)`, `g = δ − ε`, which is best against the bias to be detected and makes
///   ``SampleSizeDesign`` come true;
/// - *adaptive*: `λ = (x̄ − m)⁺/(σ̂² + (x̄ − m)²)` (aGRAPA), which finds larger biases sooner.
///
/// **Passing.** A coordinate passes when two more capitals, staked against `E x_j ≥ μ_j + δ` from above and against
/// `E x_j ≤ μ_j − δ` from below, have both reached 2/β. All must pass (intersection–union), so level β/2 for each suffices: a
/// coordinate that is off by δ or more passes with a probability of at most β/2. (The other half of β is for not having been
/// refuted by the sample size of the design.) Where a bound already excludes such a mean
/// nothing needs to be staked.
///
/// **Interval.** Empirical Bernstein confidence sequences, one for each coordinate at level β/N, so that all of them hold
/// at all times with a probability of 1 − β.
///
/// *Numerics*: λ is constant over a block of samples, 1 in the beginning, a sixteenth of the past, at most 256. Within a block
/// capitals are multiplied (it is short enough for Float64's range), at its end their logarithms are taken: six a block
/// and coordinate, none a sample. Coordinates stand in vectors of four. Memory is O(N).
///
/// *Source*: Waudby-Smith, Ramdas, "Estimating means of bounded random variables by betting", J. R. Stat. Soc. B 86 (2024),
/// arXiv 2010.09686 (aGRAPA: section B.3; empirical Bernstein: theorem 2); Vovk, Wang, "E-values", Ann. Statist. 49 (2021),
/// for averages; Berger, Technometrics 24 (1982), for intersection–union.
public struct SequentialMeanTest: ~Copyable {
  /// The number of coordinates.
  public let coordinates: Int
  /// α and β.
  public let rates: ErrorRates
  /// ε.
  public let tolerance: Double
  /// δ.
  public let detectableBias: Double
  /// The number of samples so far.
  public private(set) var count = 0
  /// The logarithm of the e-value, as of the last block's end; −∞ is possible, NaN is not.
  public private(set) var logEValue = 0.0
  /// How many coordinates have passed.
  package private(set) var coordinatesPassed = 0

  var lanes: Lanes
  private var blockLength = 1
  private var blockCount = 0

  /// The largest share of its capital that a bet may lose on one sample.
  static let largestLoss = 0.5
  /// The longest block.
  static let longestBlock = 256

  /// Prepares to test.
  ///
  /// - Parameters:
  ///   - mean: μ, `[coordinates]`.
  ///   - bounds: what samples lie between; rounding beyond them by ε is forgiven.
  ///   - tolerance: ε ≥ 0.
  ///   - detectableBias: δ > ε.
  ///   - rates: α and β.
  public init(
    mean: [Double], bounds: SampleBounds, tolerance: Double, detectableBias: Double, rates: ErrorRates = ErrorRates()
  ) {
    precondition(!mean.isEmpty, "a mean has at least one coordinate")
    precondition(mean.count == bounds.lower.count, "\(mean.count) coordinates, \(bounds.lower.count) bounds")
    precondition(tolerance >= 0 && tolerance.isFinite, "a tolerance is finite and ≥ 0, got \(tolerance)")
    precondition(
      detectableBias > tolerance && detectableBias.isFinite,
      "a detectable bias exceeds the tolerance \(tolerance), got \(detectableBias)")
    coordinates = mean.count
    self.rates = rates
    self.tolerance = tolerance
    self.detectableBias = detectableBias
    lanes = Lanes(
      mean: mean, bounds: bounds.including(mean), tolerance: tolerance, bias: detectableBias, rates: rates)
    refreshBets()
  }

  /// Whether every coordinate has passed.
  public var hasPassed: Bool { coordinatesPassed == coordinates }

  /// The coordinate with the largest capital against its mean.
  package var worstCoordinate: Int {
    (0..<coordinates).max { lanes.largestCapital($0) < lanes.largestCapital($1) } ?? 0
  }

  /// A sample outside of the bounds.
  public struct Violation: Error, Sendable, Equatable {
    /// The sample's number among those added, from 0.
    public var sample: Int
    /// Which coordinate.
    public var coordinate: Int
    /// Its value.
    public var value: Double
  }

  /// The samples that can be added before bets are made anew; see ``add(_:)``.
  public var untilNextLook: Int { blockLength - blockCount }

  /// Adds samples, row by row, and looks at the evidence where a block ends.
  ///
  /// Add no more than ``untilNextLook`` at a time to stop as soon as the evidence suffices.
  ///
  /// - Parameter rows: whole samples, `[samples][coordinates]`.
  /// - Throws: ``Violation`` for the first sample outside of the bounds; samples after it are not added.
  /// - Complexity: O(samples · coordinates).
  package mutating func add(_ rows: UnsafeBufferPointer<Double>) throws(Violation) {
    let samples = rows.count / coordinates
    precondition(samples * coordinates == rows.count, "\(rows.count) numbers are no samples of \(coordinates)")
    guard let base = rows.baseAddress else { return }
    var start = 0
    while start < samples {
      let length = min(untilNextLook, samples - start)
      let first = base + start * coordinates
      if let violation = lanes.add(first, samples: length) {
        // Up to the violation they count; it ends the test, so that capitals are no longer needed.
        count += violation.sample
        throw Violation(sample: count, coordinate: violation.coordinate, value: violation.value)
      }
      count += length
      blockCount += length
      start += length
      if blockCount == blockLength { look() }
    }
  }

  /// Adds samples that stand in an array.
  public mutating func add(_ rows: [Double]) throws(Violation) {
    let result = rows.withUnsafeBufferPointer { buffer -> Result<Void, Violation> in
      do throws(Violation) {
        try add(buffer)
        return .success(())
      } catch {
        return .failure(error)
      }
    }
    try result.get()
  }

  /// Ends a block early, so that all samples are looked at.
  public mutating func look() {
    if blockCount > 0 {
      lanes.closeBlock(samples: blockCount, before: count - blockCount)
      blockCount = 0
    }
    logEValue = lanes.logEValue()
    coordinatesPassed = lanes.coordinatesPassed()
    refreshBets()
  }

  private mutating func refreshBets() {
    let growth = lanes.makeBets(samples: count)
    let longest = max(Int(900 / max(growth, 1)), 1)
    blockLength = min(max(count / 16, 1), Self.longestBlock, longest)
  }
}

// MARK: - What is known of the mean

extension SequentialMeanTest {
  /// The mean of the samples, `[coordinates]`; μ before the first.
  public var sampleMean: [Double] { (0..<coordinates).map { lanes[.target, $0] + lanes[.mean, $0] } }

  /// The standard deviation of the samples, `[coordinates]`.
  package var sampleDeviation: [Double] {
    (0..<coordinates).map { (count > 1 ? lanes[.squares, $0] / Double(count - 1) : 0).squareRoot() }
  }

  /// Intervals that hold the means of all coordinates, at all times together, with a probability of at least 1 − β.
  ///
  /// Within the bounds, and as of the last block's end.
  public var intervals: [ClosedRange<Double>] {
    (0..<coordinates).map { j in
      let centre = lanes[.target, j]
      let low = centre + lanes[.lower, j]
      let high = centre + lanes[.upper, j]
      let stakes = lanes[.intervalStakes, j]
      guard stakes > 0 else { return low...max(low, high) }
      let middle = centre + lanes[.intervalSum, j] / stakes
      let range = lanes[.upper, j] - lanes[.lower, j]
      let radius = range * (lanes.intervalDepth + lanes[.intervalVariance, j]) / stakes
      guard middle.isFinite, radius.isFinite else { return low...max(low, high) }
      let left = min(max(middle - radius, low), high)
      return left...max(min(middle + radius, high), left)
    }
  }
}
