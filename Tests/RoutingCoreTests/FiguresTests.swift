import RoutingCore
import Testing

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

  @Test(
    arguments: [
      (0.25, 4, "0.25"), (1.0 / 3, 6, "0.333333"), (-2, 4, "-2"), (-0.0, 4, "0"), (123456.7, 4, "123457"),
      (1e6, 4, "1e6"), (1.5e-7, 4, "1.5e-7"), (5e-324, 4, "4.941e-324"), (1.797e308, 6, "1.797e308"),
      (.infinity, 4, "∞"), (.nan, 4, "–"),
    ] as [(Double, Int, String)])
  func shortNumbersHaveNoTrailingZeros(x: Double, digits: Int, text: String) {
    #expect(Figures.short(x, digits: digits) == text)
  }

  @Test(
    arguments: [(0, "1"), (13.815510557964274, "1.0e6"), (-1e4, "1.1e-4343"), (.infinity, "∞"), (-.infinity, "0")]
      as [(Double, String)])
  func exponentials(logarithm: Double, text: String) {
    #expect(Figures.exponential(ofLogarithm: logarithm) == text)
  }

  /// Nothing traps, nothing is empty, nothing is wider than a column may be.
  @Test(
    arguments: [
      0, -0.0, 5e-324, -5e-324, .leastNormalMagnitude, 0.5, 1, -1, 99999.5, 1e5, 1e15, 0x1p53, 0x1p63, 1e155,
      1.797e308, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, .infinity, -.infinity, .nan,
    ] as [Double])
  func everyNumberHasAText(x: Double) {
    var texts = [
      Figures.significant(x), Figures.ratio(x), Figures.deviation(x), Figures.cosine(x), Figures.probability(x),
      Figures.exponential(ofLogarithm: x),
    ]
    texts += (0...12).map { Figures.fixed(x, decimals: $0) } + (1...12).map { Figures.short(x, digits: $0) }
    for text in texts {
      #expect(!text.isEmpty && text.count <= Figures.longest, "\(text)")
    }
  }

  @Test func everyBitPatternHasAText() {
    var generator = Philox(seed: 3)
    for _ in 0..<20_000 {
      let x = Double(bitPattern: generator.next())
      #expect(!Figures.significant(x).isEmpty && Figures.fixed(x, decimals: 12).count <= Figures.longest)
    }
  }
}
