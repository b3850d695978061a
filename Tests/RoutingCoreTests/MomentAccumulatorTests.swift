import RoutingCore
import Testing
import _TestSupport

@Suite(.seeded) struct MomentAccumulatorTests {
  private func accumulate(_ samples: [[Double]], pivot: [Double], covariance: Bool = true)
    -> MomentAccumulator
  {
    var accumulator = MomentAccumulator(pivot: pivot, covariance: covariance)
    for sample in samples { accumulator.add(sample) }
    return accumulator
  }

  @Test func knownValues() throws {
    // 1, 2, 3, 4: mean 5/2, sum of squares 5, m₂ = 5/4, m₄ = 41/16; the second coordinate is the negative,
    // doubled.
    let samples = [1.0, 2, 3, 4].map { [$0, -2 * $0] }
    for pivot in [[0.0, 0], [2.5, -5], [3, 1]] {
      let (moments, meanError, varianceError) = accumulate(samples, pivot: pivot).estimate()
      expectClose(moments.mean, [2.5, -5], relative: 1e-15)
      expectClose(moments.variance, [5.0 / 3, 20.0 / 3], relative: 1e-14)
      expectClose(moments.totalVariance, 25.0 / 3, ulps: 4)
      expectClose(
        try #require(moments.covariance).elements, [5.0 / 3, -10.0 / 3, -10.0 / 3, 20.0 / 3], relative: 1e-14)
      expectClose(meanError, (20.0 / 3 / 4).squareRoot(), ulps: 4)
      // Var s² = (m₄ − m₂² (n − 3)/(n − 1))/n, times 16 for the doubled coordinate's square.
      expectClose(varianceError, (16 * (41.0 / 16 - 25.0 / 16 / 3) / 4).squareRoot(), ulps: 64)
    }
  }

  @Test func withoutCovariance() {
    let (moments, _, _) = accumulate([[1], [2]], pivot: [0], covariance: false).estimate()
    #expect(moments.covariance == nil)
    #expect(moments.variance == [0.5])
  }

  @Test func agreesWithTwoPasses() throws {
    var generator = TestSeed.generator("accumulator")
    let samples = (0..<500).map { _ in generator.normals(3, spread: 2, centre: 7) }
    let n = Double(samples.count)
    let mean = (0..<3).map { k in samples.reduce(0) { $0 + $1[k] } / n }
    let covariance = (0..<3).map { k in
      (0..<3).map { l in samples.reduce(0) { $0 + ($1[k] - mean[k]) * ($1[l] - mean[l]) } / (n - 1) }
    }
    let accumulator = accumulate(samples, pivot: [6.5, 7, 8])
    #expect(accumulator.count == 500)
    let moments = accumulator.estimate().moments
    expectClose(moments.mean, mean, relative: 1e-14)
    expectClose(moments.variance, (0..<3).map { covariance[$0][$0] }, relative: 1e-13)
    expectClose(try #require(moments.covariance).elements, covariance.flatMap { $0 }, relative: 1e-13)
  }

  @Test func mergedPartsAreTheWhole() throws {
    var generator = TestSeed.generator("accumulator merge")
    let samples = (0..<90).map { _ in generator.normals(2) }
    let pivot = [0.125, -0.25]
    let parts = [samples[..<10], samples[10..<55], samples[55...]].map { accumulate(Array($0), pivot: pivot) }
    func merged() -> MomentAccumulator {
      var total = MomentAccumulator(pivot: pivot, covariance: true)
      for part in parts { total.merge(part) }
      return total
    }
    // Merged in one order: the same to the bit. Against the whole: to rounding.
    #expect(merged().estimate().moments == merged().estimate().moments)
    let (whole, part) = (accumulate(samples, pivot: pivot).estimate(), merged().estimate())
    #expect(merged().count == 90)
    expectClose(part.moments.mean, whole.moments.mean, relative: 1e-14)
    expectClose(part.moments.variance, whole.moments.variance, relative: 1e-14)
    expectClose(
      try #require(part.moments.covariance).elements, try #require(whole.moments.covariance).elements,
      relative: 1e-14)
    expectClose(part.meanError, whole.meanError, ulps: 16)
    expectClose(part.varianceError, whole.varianceError, ulps: 64)
  }

  @Test func constantSamplesHaveNoVariance() {
    let (moments, meanError, varianceError) = accumulate([[0.1], [0.1], [0.1]], pivot: [0.1]).estimate()
    #expect(moments.variance == [0] && meanError == 0 && varianceError == 0)
  }

  @Test func preconditions() async {
    await #expect(processExitsWith: .failure) {
      var one = MomentAccumulator(pivot: [0], covariance: false)
      one.add([1])
      _ = one.estimate()
    }
    await #expect(processExitsWith: .failure) {
      var one = MomentAccumulator(pivot: [0], covariance: false)
      one.merge(MomentAccumulator(pivot: [1], covariance: false))
    }
  }
}
