import RoutingCore

/// Where generators get their choices from, and what makes shrinking integrated: every choice is a whole number that is
/// written down, 0 being the simplest, so that a shorter or smaller list of choices, played back, is a simpler value of
/// the same kind. A generator is any function of a source; it shrinks without being told how.
///
/// *Source*: the internal shrinking of Hypothesis (MacIver, Donaldson, "Test-case reduction via test-case generation",
/// ECOOP 2020).
package struct DrawSource: Sendable {
  /// The choices made so far.
  package private(set) var choices: [UInt64] = []
  private let recorded: [UInt64]
  private var generator: Philox?

  /// A source of random choices.
  package init(seed: UInt64, stream: UInt64) {
    recorded = []
    generator = Philox(seed: seed, stream: stream)
  }

  /// A source that plays choices back; after the last it chooses 0.
  package init(playing choices: [UInt64]) {
    recorded = choices
    generator = nil
  }

  /// A whole number from 0 to `bound`; a recorded one that is larger is cut.
  package mutating func choose(upTo bound: UInt64) -> UInt64 {
    var choice: UInt64 = 0
    if choices.count < recorded.count {
      choice = min(recorded[choices.count], bound)
    } else if generator != nil {
      choice = (bound == .max ? generator?.next() : generator?.next(upperBound: bound + 1)) ?? 0
    }
    choices.append(choice)
    return choice
  }

  /// A whole number from a range, its lower end being the simplest.
  package mutating func integer(in range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(choose(upTo: UInt64(range.upperBound - range.lowerBound)))
  }

  /// One of a few, the first being the simplest.
  ///
  /// - Precondition: there is one.
  package mutating func element<Element>(of elements: [Element]) -> Element {
    precondition(!elements.isEmpty, "there is nothing to choose from")
    return elements[integer(in: 0...elements.count - 1)]
  }

  /// A real number of moderate size: 0, 1, −1, 2 … are the simplest, then quarters, then numbers with 18 binary digits.
  package mutating func real() -> Double {
    let style = choose(upTo: 5)
    switch style {
    case 0: return signed(choose(upTo: 8))
    case 1: return signed(choose(upTo: 24)) / 4
    default: return signed(choose(upTo: 1 << 20)) / 0x1p18
    }
  }

  /// Real numbers.
  package mutating func reals(_ count: Int) -> [Double] { (0..<count).map { _ in real() } }

  /// 0, 1, −1, 2, −2 …
  private func signed(_ choice: UInt64) -> Double {
    let magnitude = Double((choice + 1) / 2)
    return choice % 2 == 1 ? magnitude : choice == 0 ? 0 : -magnitude
  }
}
