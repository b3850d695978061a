import GSLNumerics
import Testing

struct QuasiRandomTests {
  /// The first 2^m − 1 points after the origin fill every dyadic interval of each coordinate once (the
  /// origin itself is left out).
  @Test(arguments: [1, 3, 40]) func everyIntervalOnce(_ dimension: Int) throws {
    let sequence = try SobolSequence(dimension: dimension)
    var seen = [[Bool]](repeating: [Bool](repeating: false, count: 64), count: dimension)
    for _ in 0..<63 {
      for (k, x) in try sequence.next().enumerated() {
        #expect(x > 0 && x < 1)
        #expect(!seen[k][Int(x * 64)])
        seen[k][Int(x * 64)] = true
      }
    }
    for k in 0..<dimension { #expect(seen[k].filter { !$0 }.count == 1 && !seen[k][0]) }
  }

  @Test(arguments: [0, -1, 41]) func refusals(_ dimension: Int) {
    #expect(throws: GSLError.self) { try SobolSequence(dimension: dimension) }
  }
}
