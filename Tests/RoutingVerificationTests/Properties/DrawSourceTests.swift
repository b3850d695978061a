import RoutingVerification
import Testing
import _TestSupport

@Suite("Draw source", .seeded)
struct DrawSourceTests {
  @Test func choicesPlayBack() {
    var source = DrawSource(seed: TestSeed.value, stream: 3)
    let numbers = source.reals(20) + [Double(source.integer(in: 5...9)), source.element(of: [1.5, 2.5])]
    var again = DrawSource(playing: source.choices)
    #expect(again.reals(20) + [Double(again.integer(in: 5...9)), again.element(of: [1.5, 2.5])] == numbers)
    #expect(again.choices == source.choices)
  }

  @Test func nothingAndZerosAreTheSimplest() {
    for choices in [[], [0, 0, 0, 0]] as [[UInt64]] {
      var source = DrawSource(playing: choices)
      #expect(source.real() == 0)
      #expect(source.integer(in: 3...7) == 3)
      #expect(source.element(of: ["a", "b"]) == "a")
    }
  }

  @Test func recordedChoicesAreCutToWhatIsAskedFor() {
    var source = DrawSource(playing: [.max, 7])
    #expect(source.choose(upTo: 5) == 5)
    #expect(source.choose(upTo: 9) == 7)
    #expect(source.choices == [5, 7])
  }

  @Test func everyChoiceComesUp() {
    var seen: Set<UInt64> = []
    var source = DrawSource(seed: TestSeed.value, stream: 0)
    for _ in 0..<400 { seen.insert(source.choose(upTo: 9)) }
    #expect(seen == Set(0...9))
    #expect(source.choose(upTo: .max) <= .max)
  }
}
