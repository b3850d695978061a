import MixtureOfExperts
import RoutingCore
import Testing
import _TestSupport

#if BASE
  @Suite(.seeded) struct BalancedAssignmentTests {
    @Test("no balanced assignment is better", arguments: [(4, 2), (5, 2), (6, 3), (3, 4), (7, 3)])
    func optimal(tokens: Int, experts: Int) throws {
      var random = TestSeed.generator("assignment \(tokens) \(experts)")
      for _ in 0..<10 {
        let logits = random.normals(tokens * experts)
        let choice = try BalancedAssignment.solve(logits, tokens: tokens, experts: experts)
        func value(_ choice: [Int]) -> Double { choice.indices.reduce(0) { $0 + logits[$1 * experts + choice[$1]] } }
        func isBalanced(_ choice: [Int]) -> Bool {
          let loads = (0..<experts).map { i in choice.count { $0 == i } }
          return loads.allSatisfy { $0 >= tokens / experts && $0 <= (tokens + experts - 1) / experts }
        }
        #expect(isBalanced(choice))
        var best = -Double.infinity
        var places = [Int](repeating: 0, count: tokens)
        while true {
          if isBalanced(places) { best = max(best, value(places)) }
          guard let k = places.indices.first(where: { places[$0] < experts - 1 }) else { break }
          for j in 0..<k { places[j] = 0 }
          places[k] += 1
        }
        expectClose(value(choice), best, within: 1e-5 * Double(tokens))
      }
    }

    @Test("equal logits and large batches are assigned evenly")
    func large() throws {
      let choice = try BalancedAssignment.solve([Double](repeating: 0.5, count: 1000 * 16), tokens: 1000, experts: 16)
      #expect((0..<16).allSatisfy { i in (62...63).contains(choice.count { $0 == i }) })
    }
  }
#else
  @Test("without GLPK a balanced assignment is refused by name")
  func withoutGLPK() {
    #expect(
      throws: Refusal(.wrongData, "balanced routing needs GLPK, and this build is without it (package trait BASE)")
    ) {
      try BalancedAssignment.solve([0, 1], tokens: 1, experts: 2)
    }
  }
#endif
