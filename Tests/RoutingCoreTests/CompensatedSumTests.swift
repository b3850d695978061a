import Testing
import _TestSupport

@testable import RoutingCore

/// Sums, inner products and norms that keep their digits.
@Suite(.seeded) struct CompensatedSumTests {
  private func sum(_ terms: [Double]) -> Double {
    var sum = CompensatedSum()
    for term in terms { sum += term }
    return sum.value
  }

  @Test func emptyIsZero() { #expect(sum([]) == 0) }

  @Test func cancellationLosesNothing() {
    #expect(sum([1, 1e100, 1, -1e100]) == 2)
    #expect(sum([1e100, 1, -1e100, 1e-100]) == 1)
    #expect(sum([0.1, 0.2, 0.3, -0.6]) == sum([-0.6, 0.3, 0.2, 0.1]))
    #expect(sum([Double](repeating: 0.1, count: 10)) == 1)
  }

  @Test func orderDoesNotMatter() {
    var generator = TestSeed.generator("compensated sum")
    var terms = (0..<200).map { _ in generator.nextNormal() * 1e8 }
    terms += terms.map { -$0 * (1 + 1e-12) }
    let expected = sum(terms)
    for _ in 0..<20 {
      expectClose(sum(terms.shuffled(using: &generator)), expected, ulps: 2)
    }
  }

  @Test func nonFiniteTermsShow() {
    #expect(sum([1, .infinity, 2]) == .infinity)
    #expect(sum([.greatestFiniteMagnitude, .greatestFiniteMagnitude]) == .infinity)
    #expect(sum([-.greatestFiniteMagnitude, -.greatestFiniteMagnitude, 1]) == -.infinity)
    #expect(sum([.infinity, -.infinity]).isNaN)
    #expect(sum([1, .nan]).isNaN)
  }

  @Test func innerProduct() {
    #expect(dot([1, 2, 3], [4, 5, 6]) == 32)
    #expect(dot([1e160, 1, -1e160], [1e100, 3, 1e100]) == 3)
    #expect(dot([Double](), [Double]()) == 0)
  }

  @Test("long inner products keep their digits, whatever their length", arguments: 32...70)
  func longInnerProduct(_ count: Int) {
    var generator = TestSeed.generator("long \(count)")
    let values = generator.normals(count)
    #expect(dot(values + values.reversed(), values + values.reversed().map { -$0 }).magnitude <= 1e-15)
    var large = [Double](repeating: 1, count: count)
    (large[3], large[count - 1]) = (1e100, -1e100)
    #expect(dot(large, [Double](repeating: 1, count: count)) == Double(count - 2))
    large[3] = .greatestFiniteMagnitude
    #expect(dot(large, large) == .infinity)
    large[5] = .nan
    #expect(dot(large, large).isNaN)
  }

  @Test func innerProductNeedsOneLength() async {
    await #expect(processExitsWith: .failure) { _ = dot([1, 2], [1]) }
  }

  @Test func normNeitherOverflowsNorUnderflows() {
    #expect(norm([3, 4]) == 5)
    expectClose(norm([3e300, -4e300]), 5e300, ulps: 1)
    expectClose(norm([3e-300, 4e-300, 0]), 5e-300, ulps: 1)
    #expect(norm([]) == 0 && norm([0, -0.0]) == 0)
    #expect(norm([1, -.infinity]) == .infinity)
  }
}
