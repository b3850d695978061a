import RouteGrad

/// Choices at random, the same for the same seed on every machine and with every version of Swift.
///
/// Swift's own `randomElement(using:)` and `Int.random(in:using:)` may draw otherwise in another version.
struct Dice {
  private var bits: Philox

  init(seed: UInt64, stream: UInt64) { bits = Philox(seed: seed, stream: stream) }

  /// A whole number from 0 to below `bound`.
  mutating func below(_ bound: Int) -> Int { bound < 1 ? 0 : Int(bits.next() % UInt64(bound)) }

  mutating func among(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

  /// True so many times in a hundred.
  mutating func percent(_ chance: Int) -> Bool { below(100) < chance }

  /// One of `choices`, which are not empty.
  mutating func one<Choices: RandomAccessCollection>(of choices: Choices) -> Choices.Element {
    choices[choices.index(choices.startIndex, offsetBy: below(choices.count))]
  }

  /// One of `choices`, each as often as its weight says.
  mutating func weighted<Choice>(_ choices: [(Int, Choice)]) -> Choice {
    var left = below(choices.reduce(0) { $0 + $1.0 })
    for (weight, choice) in choices {
      if left < weight { return choice }
      left -= weight
    }
    return choices[choices.count - 1].1
  }

  /// A number between 0 and 1.
  mutating func unit() -> Double { bits.nextOpenUnit() }

  mutating func between(_ low: Double, _ high: Double) -> Double { low + (high - low) * unit() }

  mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: bits.next()) }
}
