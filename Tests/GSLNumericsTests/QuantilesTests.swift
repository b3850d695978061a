import GSLNumerics
import Testing

/// Against published tables, and against their own definitions.
@Suite struct QuantilesTests {
  @Test(arguments: [
    (0.975, 1.959963984540054), (0.5, 0), (0.999, 3.090232306167813), (1e-6, -4.753424308822899),
    // mpmath, 40 digits: roots of erfc(z/√2)/2 = p.
    (5e-18, -8.573944076720882756), (5e-301, -37.065787880772130394),
  ])
  func normalQuantile(p: Double, z: Double) {
    #expect((standardNormalQuantile(p) - z).magnitude < 1e-12)
  }

  /// 0 of n: 1 − (γ/2)^(1/n); 10 of 20: roots of mpmath's regularised `betainc`.
  @Test func binomialLimitsOfSmallNumbers() {
    #expect(binomialLimits(successes: 0, of: 10).lowerBound == 0)
    #expect((binomialLimits(successes: 0, of: 10).upperBound - 0.3084971078187608).magnitude < 1e-12)
    #expect(binomialLimits(successes: 10, of: 10).upperBound == 1)
    let half = binomialLimits(successes: 10, of: 20)
    #expect((half.lowerBound - 0.2719578495607918).magnitude < 1e-12)
    #expect((half.upperBound - 0.7280421504392082).magnitude < 1e-12)
  }

  /// Where GSL's own inverse gives NaN.
  @Test func binomialLimitsOfLargeNumbers() {
    for k in stride(from: 1, through: 20_000, by: 331) {
      let limits = binomialLimits(successes: k, of: 20_000, confidence: 0.999)
      #expect(limits.contains(Double(k) / 20_000))
    }
  }
}
