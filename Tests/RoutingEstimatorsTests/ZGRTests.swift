import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@Suite struct ZGRTests {
  @Test func byHand() throws {
    // Half of straight-through's 3/16 and −9/16 with half of DARN's 1/16 and −27/16: ReinMax's 1/8 and −9/8.
    try HandProblems.expect(
      "zgr", on: HandProblems.choice(), [([0], [], 0.75, 1.0 / 8), ([1], [], 0.25, -9.0 / 8)])
  }

  /// ½ straight-through + ½ DARN is ZGR is ReinMax at τ = 1, outcome by outcome, on both kinds of problem.
  @Test(arguments: TestProblems.standard)
  func isReinMaxOutcomeByOutcome(problem: TestProblem) throws {
    let routed = problem.problem
    guard let reinMax = try? ReinMax().outcomes(of: routed) else { return }
    let lists = [
      try ZGR().outcomes(of: routed), try StraightThrough().outcomes(of: routed), try DARN().outcomes(of: routed),
    ]
    for (place, outcome) in reinMax.outcomes.enumerated() {
      let expected = reinMax.gradient(of: outcome)
      let parts = lists.map { $0.gradient(at: place) }
      // Of what is added up: the two halves may be much larger than their sum.
      let size = parts.reduce(norm(expected)) { max($0, norm($1)) }
      for list in lists {
        #expect(
          list.outcomes[place].choice == outcome.choice && list.outcomes[place].probability == outcome.probability)
        #expect(list.outcomes[place].multiplier == outcome.multiplier)
      }
      for k in expected.indices {
        #expect((parts[0][k] - expected[k]).magnitude <= 1e-14 * size, "\(outcome.choice) \(k)")
        #expect(
          (0.5 * parts[1][k] + 0.5 * parts[2][k] - expected[k]).magnitude <= 1e-14 * size, "\(outcome.choice) \(k)")
      }
    }
  }

  /// At another temperature ReinMax is something else.
  @Test func notAtOtherTemperatures() throws {
    let problem = try HandProblems.choice()
    let (zgr, tempered) = (
      try ZGR().outcomes(of: problem), try ReinMax(temperature: 1.3).outcomes(of: problem)
    )
    #expect((zgr.gradient(at: 0)[0] - tempered.gradient(at: 0)[0]).magnitude > 1e-3)
  }

  @Test func claims() {
    #expect(ZGR().claims.exactness == .degree(2) && ZGR().claims.order == 2)
  }
}
