import Testing

@testable import RoutingReports

struct FiguresTests {
  @Test(
    arguments: [
      (nil, "–"), (0, "0"), (1, "1"), (-3, "-3"), (99999, "99999"), (0.1234, "0.123"), (0.0012345, "0.00123"),
      (12.345, "12.3"), (123.456, "123"), (9.999, "10.00"), (1.23456e-5, "1.23e-5"),
      (-4.2e-300, "-4.20e-300"),
      (123456.7, "1.23e5"), (1e300, "1.00e300"), (54321.5, "54322"),
    ] as [(Double?, String)])
  func significantDigits(x: Double?, text: String) {
    #expect(Figures.significant(x) == text)
  }

  @Test(arguments: [(9e-14, "0"), (-9e-14, "0"), (2e-13, "2.00e-13"), (nil, "–")] as [(Double?, String)])
  func ratiosBelowRoundingAreZero(x: Double?, text: String) {
    #expect(Figures.ratio(x) == text)
  }

  @Test(
    arguments: [(1, "1"), (1 - 1e-15, "1"), (-1, "-1"), (0.99999, "1.0000"), (0.12345, "0.1235"), (nil, "–")]
      as [(Double?, String)])
  func cosines(x: Double?, text: String) {
    #expect(Figures.cosine(x) == text)
  }

  @Test(
    arguments: [(0, "0"), (1, "1"), (0.7309, "0.731"), (0.99999, "1.000"), (nil, "–")] as [(Double?, String)])
  func probabilities(x: Double?, text: String) {
    #expect(Figures.probability(x) == text)
  }

  @Test(arguments: [(2e-9, "0"), (2e-8, "2.00e-8"), (0, "0"), (nil, "–")] as [(Double?, String)])
  func deviationsBelowRoundingAreZero(x: Double?, text: String) {
    #expect(Figures.deviation(x) == text)
  }

  @Test(arguments: [([], nil), ([3], 3), ([4, 1, 2], 2), ([4, 1, 2, 3], 2.5)] as [([Double], Double?)])
  func medians(values: [Double], expected: Double?) {
    #expect(median(values) == expected)
  }
}
