import GSLNumerics
import RouterTraining
import Testing
import _TestSupport

struct PairedStatisticsTests {
  private struct Reference: Decodable {
    struct Quantile: Decodable {
      var p: Double
      var degrees: Double
      var t: ReferenceNumber
    }

    struct Paired: Decodable {
      var differences: [Double]
      var mean, low, high, p: ReferenceNumber
    }

    var quantiles: [Quantile]
    var paired: [Paired]
  }

  private static let reference = Result { try Fixtures.decode(Reference.self, from: "reference/student-mpmath.json") }

  /// GSL's own inverse is good to some 1e-13.
  @Test func studentQuantilesAreMpmaths() throws {
    for quantile in try Self.reference.get().quantiles {
      let t = studentQuantile(quantile.p, degrees: quantile.degrees)
      expectClose(t / quantile.t.value, 1, within: 1e-12, "p \(quantile.p), ν \(quantile.degrees)")
      expectClose(studentQuantile(1 - quantile.p, degrees: quantile.degrees), -t, within: 1e-12)
      expectClose(studentTwoSidedTail(-t, degrees: quantile.degrees), 2 * (1 - quantile.p), within: 1e-12)
    }
  }

  @Test func pairedTestsAreMpmaths() throws {
    for reference in try Self.reference.get().paired {
      let paired = PairedDifference(reference.differences)
      let interval = try #require(paired.interval)
      expectClose(paired.mean, reference.mean.value, within: 1e-15)
      expectClose(interval.lowerBound, reference.low.value, within: 1e-12)
      expectClose(interval.upperBound, reference.high.value, within: 1e-12)
      expectClose(try #require(paired.p), reference.p.value, within: 1e-13)
    }
  }

  @Test func onePairHasNoInterval() {
    let paired = PairedDifference([0.25])
    #expect(paired.mean == 0.25 && paired.interval == nil && paired.p == nil)
    #expect(PairedDifference([0, 0, 0]).p == 1)
    #expect(PairedDifference([1, 1, 1]).p == 0)
    // What a loss of 0 and losses of 0 and the baseline come to.
    for differences in [[-Double.infinity, 0.5], [.nan, 0.5], [-.infinity, .infinity], [1e300, -1e300, 1e308]] {
      let paired = PairedDifference(differences)
      #expect(paired.interval == nil && paired.p == nil, "\(differences)")
    }
  }

  @Test func geometricMeanIsDeterministicAndScales() throws {
    let values = [1.5, 2, 0.75, 1.125, 3, 1]
    let mean = GeometricMean(values)
    #expect(mean == GeometricMean(values))
    let interval = try #require(mean.interval)
    #expect(interval.lowerBound < mean.value && mean.value < interval.upperBound)
    #expect(GeometricMean(values, seed: 1).interval != interval)
    let doubled = GeometricMean(values.map { 4 * $0 })
    expectClose(doubled.value, 4 * mean.value, within: 1e-12)
    expectClose(try #require(doubled.interval).lowerBound, 4 * interval.lowerBound, within: 1e-12)
    #expect(GeometricMean([2]).interval == nil)
    let constant = GeometricMean([2, 2, 2])
    expectClose(try #require(constant.interval).lowerBound, 2, within: 1e-15)
  }

  /// Of two values, a resample's mean log is low, middle or high with probabilities ¼, ½, ¼: the percentiles are the values.
  @Test func bootstrapOfTwoValuesReachesBoth() throws {
    let interval = try #require(GeometricMean([1, 4]).interval)
    expectClose(interval.lowerBound, 1, within: 1e-15)
    expectClose(interval.upperBound, 4, within: 1e-14)
  }

  @Test func crossingsAreInterpolated() throws {
    let slow = LossCurve(steps: [0, 10, 20, 30], losses: [1, 0.8, 0.6, 0.4])
    let fast = LossCurve(steps: [0, 10, 20, 30], losses: [1, 0.5, 0.3, 0.35])
    expectClose(try #require(slow.crossing(0.7)), 15, within: 1e-12)
    #expect(slow.crossing(1) == 0 && slow.crossing(0.1) == nil)
    // The worse final loss, 0.4: slow gets there at its end, fast half-way between 10 and 20.
    expectClose(try #require(fast.speedUp(over: slow)), 2, within: 1e-12)
    expectClose(try #require(slow.speedUp(over: fast)), 0.5, within: 1e-12)
    #expect(slow.speedUp(over: slow) == 1)
  }

  @Test(arguments: [
    ([0.005: 3.0, 0.01: 2, 0.02: 1, 0.03: 2], nil as Double?), ([0.005: 1, 0.01: 2, 0.02: 3, 0.03: 4], 0.003),
    ([0.005: 4, 0.01: 3, 0.02: 2, 0.03: 1], 0.05), ([0.005: 4, 0.01: 3, 0.02: .infinity, 0.03: .infinity], nil),
    ([0.5: 2, 1: 1], nil),
  ])
  func gridsWidenWhileTheOptimumIsOnAnEdge(losses: [Double: Double], next: Double?) {
    #expect(RateGrid.next(losses) == next)
  }
}
