import CStandardLibrary
import GSLNumerics
import RoutingCore

/// A mean of paired differences with Student's interval and test.
///
/// *Edge cases*: differences that are not finite, as of the logarithm of a loss of 0, have neither interval nor test.
public struct PairedDifference: Sendable, Equatable {
  /// The number of pairs.
  public var count: Int
  /// Their mean.
  public var mean: Double
  /// The 95 % interval `mean ± t⁻¹(0.975; n − 1) s/√n`; nil for one pair, and where it is not finite.
  public var interval: ClosedRange<Double>?
  /// The two-sided p-value of the mean being 0; nil where there is no interval.
  public var p: Double?

  /// - Precondition: there is a difference.
  package init(_ differences: [Double]) {
    precondition(!differences.isEmpty, "a mean needs a number")
    count = differences.count
    let n = Double(count)
    let mean = differences.reduce(0, +) / n
    self.mean = mean
    guard count > 1 else { return }
    let squares = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    let error = (squares / (n - 1) / n).squareRoot()
    guard error.isFinite else { return }
    let width = studentQuantile(0.975, degrees: n - 1) * error
    interval = mean - width...mean + width
    p = error > 0 ? studentTwoSidedTail(mean / error, degrees: n - 1) : (mean == 0 ? 1 : 0)
  }
}

/// A geometric mean with a bootstrap interval.
public struct GeometricMean: Sendable, Equatable {
  /// `exp(mean log x)`.
  public var value: Double
  /// The 95 % percentile interval over resamples of the x; nil for one x.
  public var interval: ClosedRange<Double>?

  /// The number of resamples.
  static let resamples = 10_000

  /// - Parameters:
  ///   - values: above 0, at least one.
  ///   - seed: of the resamples; the same for every router, so that intervals depend on nothing but the values.
  package init(_ values: [Double], seed: UInt64 = 0) {
    precondition(
      !values.isEmpty && values.allSatisfy { $0 > 0 }, "a geometric mean is of numbers above 0, got \(values)")
    let logs = values.map { log($0) }
    let n = logs.count
    value = exp(logs.reduce(0, +) / Double(n))
    guard n > 1 else { return }
    var random = Philox(seed: seed)
    let means = (0..<Self.resamples).map { _ in
      (0..<n).reduce(0.0) { sum, _ in sum + logs[Int(random.next(upperBound: UInt64(n)))] } / Double(n)
    }.sorted()
    interval = exp(Self.quantile(means, 0.025))...exp(Self.quantile(means, 0.975))
  }

  /// The quantile of sorted numbers, interpolated linearly (type 7 of Hyndman and Fan).
  private static func quantile(_ sorted: [Double], _ p: Double) -> Double {
    let place = p * Double(sorted.count - 1)
    let k = min(Int(place), sorted.count - 2)
    return sorted[k] + (place - Double(k)) * (sorted[k + 1] - sorted[k])
  }
}

/// Held-out losses at steps.
package struct LossCurve: Sendable, Equatable {
  /// Steps, rising.
  package var steps: [Int]
  /// A loss for each.
  package var losses: [Double]

  package init(steps: [Int], losses: [Double]) {
    precondition(steps.count == losses.count && !steps.isEmpty, "a curve has a loss for each of its steps")
    self.steps = steps
    self.losses = losses
  }

  /// The last loss.
  package var final: Double { losses[losses.count - 1] }

  /// The step at which the loss first is at most `target`, interpolated linearly between evaluations; nil if it never is.
  package func crossing(_ target: Double) -> Double? {
    guard let k = losses.firstIndex(where: { $0 <= target }) else { return nil }
    guard k > 0 else { return Double(steps[0]) }
    let (before, after) = (losses[k - 1], losses[k])
    return Double(steps[k - 1]) + Double(steps[k] - steps[k - 1]) * (before - target) / (before - after)
  }

  /// How many times faster than `baseline` this curve reaches the worse of the two final losses; nil where one of the two begins
  /// below it or never gets there.
  package func speedUp(over baseline: LossCurve) -> Double? {
    let target = max(final, baseline.final)
    guard let own = crossing(target), let other = baseline.crossing(target), own > 0, other > 0 else { return nil }
    return other / own
  }
}
