import RoutingCore
import Testing
import _TestSupport

/// Mean and second moment of samples.
struct SampledMoments {
  private(set) var first: [Double]
  private(set) var second: [Double]
  /// The largest coordinate seen.
  private(set) var range = 0.0
  private let count: Int

  /// Of `count` samples with so many coordinates each.
  init(_ count: Int, coordinates: Int, sample: () -> [Double]) {
    self.count = count
    first = [Double](repeating: 0, count: coordinates)
    second = first
    for _ in 0..<count {
      let sample = sample()
      for k in sample.indices {
        first[k] += sample[k] / Double(count)
        second[k] += sample[k] * sample[k] / Double(count)
        range = max(range, sample[k].magnitude)
      }
    }
  }

  /// Holds them to exact moments, by Bernstein's inequality with the exact variance and `Var ĝ² ≤ range² E ĝ²`.
  ///
  /// - Parameters:
  ///   - range: a bound on |ĝ|.
  ///   - power: the most standard deviations that the bound on the mean may allow.
  func expect(
    _ exact: Moments, range: Double, power: Double = .infinity, _ name: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    for k in first.indices {
      let square = exact.variance[k] + exact.mean[k] * exact.mean[k]
      let meanBound = StatisticalBounds.meanDeviation(
        samples: count, variance: exact.variance[k], range: 2 * range)
      #expect(
        meanBound <= power * exact.variance[k].squareRoot(), "\(name): power \(k)", sourceLocation: sourceLocation)
      #expect(
        (first[k] - exact.mean[k]).magnitude <= meanBound, "\(name): mean \(k)", sourceLocation: sourceLocation)
      let squareBound = StatisticalBounds.meanDeviation(
        samples: count, variance: range * range * square, range: range * range)
      #expect(
        (second[k] - square).magnitude <= squareBound, "\(name): second moment \(k)", sourceLocation: sourceLocation)
    }
  }
}
