import Testing
import _TestSupport

@testable import RoutingCore

/// Known answers of Random123, and how streams are cut from them.
@Suite struct PhiloxTests {
  struct Answer: Decodable, Sendable {
    var counter: [UInt32]
    var key: [UInt32]
    var output: [UInt32]
  }

  static let answers = (try? Fixtures.decode([Answer].self, from: "reference/philox-kat.json")) ?? []

  @Test func fileIsComplete() { #expect(Self.answers.count == 19) }

  @Test(arguments: answers)
  func knownAnswer(_ answer: Answer) {
    let (c, k) = (answer.counter, answer.key)
    let words = Philox.block(counter: (c[0], c[1], c[2], c[3]), key: (k[0], k[1]))
    #expect([words.0, words.1, words.2, words.3] == answer.output)
  }

  /// Seed, stream and position are where the specification says, and words come out in its order.
  @Test(arguments: answers.filter { $0.counter[0] < 10 && $0.counter[1] == 0 })
  func numbersOfAStream(_ answer: Answer) {
    let (c, k, w) = (answer.counter, answer.key, answer.output.map(UInt64.init))
    var generator = Philox(
      seed: UInt64(k[0]) | UInt64(k[1]) << 32, stream: UInt64(c[2]) | UInt64(c[3]) << 32)
    for _ in 0..<2 * c[0] { _ = generator.next() }
    #expect(generator.next() == w[0] | w[1] << 32)
    #expect(generator.next() == w[2] | w[3] << 32)
  }

  @Test func sameSeedSameNumbers() {
    var a = Philox(seed: 42, stream: 7)
    var b = Philox(seed: 42, stream: 7)
    #expect((0..<100).allSatisfy { _ in a.next() == b.next() })
    #expect(a == b)
    var copy = a
    #expect(a.next() == copy.next())
  }

  @Test func streamsAndSeedsDiffer() {
    var first: Set<UInt64> = []
    for seed in [0, 1, 1 << 32, .max] as [UInt64] {
      for stream in [0, 1, 1 << 32, .max] as [UInt64] {
        var generator = Philox(seed: seed, stream: stream)
        first.insert(generator.next())
        first.insert(generator.next())
      }
    }
    #expect(first.count == 32)
  }

  struct Constant: RandomNumberGenerator {
    var value: UInt64
    mutating func next() -> UInt64 { value }
  }

  @Test func openUnitIsOpen() {
    var lowest = Constant(value: 0)
    var highest = Constant(value: .max)
    #expect(lowest.nextOpenUnit() == 0x1p-53)
    #expect(highest.nextOpenUnit() == 1 - 0x1p-53)
    var middle = Constant(value: 1 << 63)
    #expect(middle.nextOpenUnit() == 0.5 + 0x1p-53)
  }

  @Test(.seeded) func openUnitIsUniform() {
    var generator = TestSeed.generator("open unit")
    let samples = 40_000
    var counts = [Int](repeating: 0, count: 16)
    for _ in 0..<samples {
      let x = generator.nextOpenUnit()
      #expect(x > 0 && x < 1)
      counts[Int(x * 16)] += 1
    }
    for count in counts {
      let reason = StatisticalBounds.refutation(successes: count, of: samples, probability: 1.0 / 16)
      #expect(reason == nil)
    }
  }
}
