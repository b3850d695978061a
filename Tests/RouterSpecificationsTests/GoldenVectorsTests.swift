import RoutingCore
import Testing
import _TestSupport

@testable import RouterSpecifications

/// Golden vectors: every mistake that changes the function shows in one of them.
@Suite struct GoldenVectorsTests {
  static let specifications =
    RouterFixture.autograd.enumerated().filter { $0.offset % 8 == 0 }.map(\.element.specification)
    + RandomSpecifications.list(8, "golden vectors")

  @Test(.seeded, arguments: specifications)
  func everyMistakeIsToldApart(_ specification: RouterSpecification) throws {
    let vectors = try GoldenVectors(of: specification, seed: 0, pool: 96)
    #expect(!vectors.vectors.isEmpty)
    #expect(vectors.missed.isEmpty, "\(specification.name): \(vectors.missed.map(\.rawValue))")
    let comparison = AnswerComparison.ofVectors(
      specification, tolerance: GoldenVectors.margin * GoldenVectors.tolerance)
    for mistake in vectors.told {
      #expect(vectors.vectors.contains { $0.tells.contains(mistake) }, "\(mistake.rawValue)")
    }
    for vector in vectors.vectors {
      try vector.call.validate(for: specification)
      #expect(RouterReference(specification).margin(of: vector.call) > GoldenVectors.leastGap)
      for mistake in RouterMistake.allCases {
        guard let other = RouterReference(specification, mistake: mistake).answer(to: vector.call) else { continue }
        let differs = comparison.difference(other, from: vector.expected, to: vector.call) != nil
        if vector.tells.contains(mistake) { #expect(differs, "\(mistake.rawValue)") }
        if !mistake.applies(to: specification) { #expect(!differs, "\(mistake.rawValue)") }
      }
    }
  }
}
