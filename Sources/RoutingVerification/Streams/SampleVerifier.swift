import CStandardLibrary
import RoutingCore

/// Judges a stream of foreign gradient samples, and says when it has heard enough.
///
/// Samples that come with their draws, of an estimator with finitely many outcomes, are compared outcome by outcome
/// (``ConditionalConformance``), and their choices are tested (`ChoiceFrequencyTest`); the e-value that decides is then the
/// average of the choices' and the mean's. All samples go through the ``SequentialMeanTest``.
///
/// *Edge cases*: a sample outside of the bounds, an unknown outcome and a wrong conditional gradient refute at once.
public struct SampleVerifier: ~Copyable {
  /// What samples are held against.
  public let claim: Claim
  /// How closely.
  public let criteria: Criteria
  /// The samples after which it gives up.
  public let budget: Int
  private let tolerance: Double
  private let detectableBias: Double
  private var test: SequentialMeanTest
  private var conformance: ConditionalConformance?
  private var frequencies: ChoiceFrequencyTest?
  private var counterExample: ForeignCounterExample?
  private var verdict: Verdict?
  private var path = EValuePath()

  /// Prepares to judge.
  ///
  /// - Parameters:
  ///   - claim: the claim.
  ///   - criteria: rates and tolerances.
  ///   - draws: whether samples come with their draws, and these with their coins; nil if they do not.
  ///   - budget: the samples after which it gives up; any number unless given.
  /// - Throws: ``ImpossibleCriteria`` if the tolerance hides the bias to be detected, or that overflows.
  public init(
    _ claim: Claim, criteria: Criteria, draws: DrawsGiven = .none, budget: Int = .max
  ) throws(ImpossibleCriteria) {
    tolerance = criteria.tolerance(of: claim)
    detectableBias = criteria.detectableBias(of: claim)
    guard detectableBias > tolerance, detectableBias.isFinite else {
      throw ImpossibleCriteria(tolerance: tolerance, detectableBias: detectableBias)
    }
    self.claim = claim
    self.criteria = criteria
    self.budget = budget
    test = SequentialMeanTest(
      mean: claim.mean, bounds: claim.bounds, tolerance: tolerance, detectableBias: detectableBias,
      rates: criteria.rates)
    if draws != .none, let outcomes = claim.outcomes {
      conformance = try? ConditionalConformance(
        with: outcomes, tolerance: tolerance, tellsCoins: draws == .choicesAndCoins)
      frequencies = conformance.map { ChoiceFrequencyTest(probabilities: $0.groupProbabilities) }
    }
  }

  /// What samples come with.
  public enum DrawsGiven: Sendable {
    /// Nothing.
    case none
    /// Their choices.
    case choices
    /// Their choices and coins.
    case choicesAndCoins
  }

  /// A tolerance that hides the bias to be detected.
  public struct ImpossibleCriteria: Error, Sendable, Equatable, CustomStringConvertible {
    /// ε.
    public let tolerance: Double
    /// δ.
    public let detectableBias: Double

    public var description: String {
      detectableBias.isFinite
        ? "a detectable bias of \(detectableBias) is not above the tolerance of \(tolerance) that is granted to rounding"
        : "a detectable bias of \(detectableBias) is not a finite number"
    }
  }

  /// The verdict, once there is one.
  public var isDecided: Bool { verdict != nil }

  /// The number of samples so far.
  public var count: Int { test.count }

  /// Adds samples until there is a verdict.
  ///
  /// - Parameters:
  ///   - rows: whole samples, `[samples][experts]`.
  ///   - draws: what was drawn, one for each sample, if the verifier was told that they come.
  /// - Returns: whether more samples are wanted.
  package mutating func add(_ rows: UnsafeBufferPointer<Double>, draws: [ForeignDraw] = []) -> Bool {
    let width = claim.coordinates
    let samples = rows.count / width
    var start = 0
    while start < samples, verdict == nil {
      let untilNextLook = test.untilNextLook
      let wanted = min(untilNextLook, samples - start, budget - test.count)
      var length = wanted
      if conformance != nil { length = compare(rows, draws: draws, from: start, count: wanted) }
      do throws(SequentialMeanTest.Violation) {
        try test.add(UnsafeBufferPointer(rebasing: rows[start * width..<(start + length) * width]))
      } catch {
        refute(
          ForeignCounterExample(
            .support, row: error.sample, draw: counterExample?.draw, coordinate: error.coordinate,
            found: [error.value],
            expected: [claim.bounds.lower[error.coordinate], claim.bounds.upper[error.coordinate]]))
        return false
      }
      start += length
      if length < wanted {  // what comes next refutes
        verdict = .refuted
        return false
      }
      if test.count == budget { test.look() }
      if length == untilNextLook || test.count == budget { recordLook() }
      decide(isLast: test.count == budget)
    }
    return verdict == nil
  }

  /// Adds samples that stand in an array.
  public mutating func add(_ rows: [Double], draws: [ForeignDraw] = []) -> Bool {
    rows.withUnsafeBufferPointer { add($0, draws: draws) }
  }

  /// The verdict on the samples so far: undecided if they do not suffice.
  public mutating func finish() -> Evidence {
    if verdict == nil {
      test.look()
      if test.count > 0 { recordLook() }
      decide(isLast: true)
    }
    return evidence
  }

  private mutating func recordLook() { path.add(.init(samples: test.count, logEValue: jointLogEValue)) }

  /// Compares gradients with their outcomes' and books the choices.
  ///
  /// - Returns: how many were in order.
  private mutating func compare(
    _ rows: UnsafeBufferPointer<Double>, draws: [ForeignDraw], from start: Int, count: Int
  ) -> Int {
    let width = claim.coordinates
    for row in start..<start + count {
      let number = test.count + row - start
      switch conformance?.compare(rows[row * width..<(row + 1) * width], of: draws[row], row: number) {
      case .success(let group): frequencies?.add(group)
      case .failure(let mismatch):
        counterExample = mismatch.counterExample
        return row - start
      case nil: break
      }
    }
    return count
  }

  private mutating func refute(_ counterExample: ForeignCounterExample) {
    self.counterExample = counterExample
    verdict = .refuted
  }

  private mutating func decide(isLast: Bool) {
    if jointLogEValue >= -log(criteria.rates.falseFail) {
      verdict = .refuted
    } else if test.hasPassed {
      verdict = .consistent
    } else if isLast {
      verdict = .undecided
    }
  }

  /// The logarithm of the average of the mean's and the choices' e-values.
  private var jointLogEValue: Double {
    guard let frequencies else { return test.logEValue }
    let (a, b) = (test.logEValue, frequencies.logEValue)
    let largest = max(a, b)
    guard largest.isFinite else { return largest }
    return largest + log(0.5 * (exp(a - largest) + exp(b - largest)))
  }
}

// MARK: - Evidence

extension SampleVerifier {
  /// The sample sizes that the claim's spread calls for: known, or else that of the samples so far.
  private var design: SampleSizeDesign {
    let deviation = (claim.deviation ?? test.sampleDeviation).max() ?? 0
    let range = claim.bounds.largestRange + 2 * tolerance
    return SampleSizeDesign(
      // What overflowed on the way is not larger than the range.
      coordinates: claim.coordinates, deviation: deviation.isFinite ? deviation : range, range: range,
      tolerance: tolerance, rates: criteria.rates,
      share: frequencies == nil ? 1 : 0.5)
  }

  /// What the verdict rests on.
  private var evidence: Evidence {
    var parts: [Evidence.Part] = []
    let verdict = verdict ?? .undecided
    if let conformance {
      let coverage = conformance.coverage
      let isWrong = counterExample.map { $0.kind != .support } ?? false
      parts.append(
        .conformance(
          Evidence.Conformance(
            verdict: isWrong ? .refuted : coverage.seen == coverage.all ? .proved : .consistent,
            outcomesSeen: coverage.seen, outcomes: coverage.all, unseenProbability: coverage.unseenProbability,
            largestDeviation: conformance.largestDeviation)))
    }
    let meanVerdict: Verdict = verdict == .refuted && counterExample != nil ? .undecided : verdict
    parts.append(
      .mean(
        Evidence.Mean(
          verdict: meanVerdict, samples: test.count, logEValue: test.logEValue, jointLogEValue: jointLogEValue,
          sampleMean: test.sampleMean, intervals: test.intervals, coordinatesPassed: test.coordinatesPassed,
          worstCoordinate: test.worstCoordinate, path: path.points)))
    if let frequencies {
      parts.append(
        .frequencies(
          Evidence.Frequencies(
            logEValue: frequencies.logEValue, samples: frequencies.count,
            outcomes: frequencies.probabilities.count)))
    }
    return Evidence(
      verdict: verdict, claim: claim, criteria: criteria, tolerance: tolerance, detectableBias: detectableBias,
      samples: counterExample?.row.map { $0 + 1 } ?? test.count,
      smallestDetectableBias: test.count > 0 ? design.detectableBias(samples: test.count) : nil,
      requiredSamples: design.requiredSamples(toDetect: detectableBias), parts: parts,
      counterExample: counterExample, seed: nil)
  }
}
