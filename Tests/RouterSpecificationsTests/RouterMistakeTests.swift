import FileFormats
import RoutingCore
import Synchronization
import Testing
import _TestSupport

@testable import RouterSpecifications
@testable import RoutingReports

/// Named mistakes: none is dead, and none touches what a specification has not.
@Suite struct RouterMistakeTests {
  static let specifications =
    RouterFixture.autograd.enumerated().filter { $0.offset % 2 == 0 }.map(\.element.specification)
    + RandomSpecifications.list(24, "router mistakes")

  @Test(.seeded, arguments: specifications)
  func isTheIdentityWithoutTheStage(_ specification: RouterSpecification) throws {
    let calls = pool(of: specification)
    for mistake in RouterMistake.allCases where !mistake.applies(to: specification) {
      for call in calls {
        guard let sound = RouterReference(specification).answer(to: call),
          let other = RouterReference(specification, mistake: mistake).answer(to: call)
        else { continue }
        #expect(
          JSONWriter.line(other.json(number: 1)) == JSONWriter.line(sound.json(number: 1)),
          "\(mistake.rawValue) on \(specification.name)")
      }
    }
  }

  @Test(.seeded) func noneIsDead() {
    var left = Set(RouterMistake.allCases)
    for specification in Self.specifications {
      let calls = pool(of: specification)
      for mistake in left where mistake.applies(to: specification) {
        let changes = calls.contains { call in
          guard let sound = RouterReference(specification).answer(to: call),
            let other = RouterReference(specification, mistake: mistake).answer(to: call)
          else { return false }
          return AnswerComparison.ofVectors(specification).difference(other, from: sound, to: call) != nil
        }
        if changes { left.remove(mistake) }
      }
    }
    #expect(left.isEmpty, "\(left.map(\.rawValue).sorted())")
  }

  /// A call of each kind.
  private func pool(of specification: RouterSpecification) -> [RouterCall] {
    var calls = StageCalls(
      from: CallGenerator(for: RouterProfile(specification), generator: Philox(seed: TestSeed.value, stream: 0x5EC7)))
    return calls.kinds.compactMap { calls.decidedCall($0) }
  }
}
