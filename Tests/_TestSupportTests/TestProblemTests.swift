import RoutingCore
import Testing

@testable import _TestSupport

/// The generators make what they say, and the readers read it.
@Suite(.seeded) struct TestProblemTests {
  @Test func everyKindAndObjective() {
    let names = TestProblems.standard.map(\.name)
    #expect(Set(names).count == names.count)
    for kind in RoutingProblem.Kind.allCases {
      for type in ProblemMaker.objectives { #expect(names.contains("\(kind) \(type)")) }
      #expect(TestProblems.standard.contains { $0.problem.kind == kind && $0.hasTies })
    }
    #expect(TestProblems.standard.contains { $0.problem.mask.rule == "paper" })
    #expect(TestProblems.standard.contains { $0.problem.distribution.support.count < $0.problem.experts })
  }

  @Test func makersAreReproducible() throws {
    func logits(_ name: String) throws -> [Double] {
      var maker = ProblemMaker(name)
      return try maker.problem("x", kind: .mixture, type: "quadratic", experts: 4, width: 2).problem.problem
        .logits
    }
    #expect(try logits("a") == logits("a"))
    #expect(try logits("a") != logits("b"))
  }

  @Test func polynomialsHaveTheirDegree() throws {
    var maker = ProblemMaker("degree")
    for degree in 1...6 {
      let f = try maker.polynomial(degree: degree, dimension: 2)
      // The (degree + 1)-th difference along a line vanishes, the one before does not.
      func difference(_ order: Int) -> Double {
        var values = (0...order).map { f.value(at: [0.5 * Double($0), 1 - 0.25 * Double($0)]) }
        for _ in 0..<order { values = zip(values.dropFirst(), values).map { $0 - $1 } }
        return values[0]
      }
      #expect(difference(degree).magnitude > 1e-6)
      #expect(difference(degree + 1).magnitude < 1e-9)
    }
  }

  @Test func permutationsCarryOver() throws {
    let problem = TestProblems.standard[0].problem
    let identity = try problem.permuted(Array(0..<problem.experts))
    #expect(try identity.values() == problem.values())
    let reversed = try problem.permuted(Array((0..<problem.experts).reversed()))
    #expect(try reversed.values() == problem.values().reversed())
    #expect(try reversed.choiceGradient(at: 0) == problem.choiceGradient(at: problem.experts - 1).reversed())
  }

  @Test func referenceNumbers() {
    #expect(ReferenceNumber.read("0.5") == 0.5 && ReferenceNumber.read("-1.25e-3") == -0.00125)
    #expect(ReferenceNumber.read("0") == 0 && ReferenceNumber.read("7.1e-351") == 0)
    #expect(ReferenceNumber.read("4.9e-324") == .leastNonzeroMagnitude)
    #expect(ReferenceNumber.read("x") == nil && ReferenceNumber.read("1ex") == nil)
    #expect(ReferenceNumber.read("0.333333333333333333333333333333") == 1.0 / 3)
  }

  @Test func fixturesAreFound() throws {
    #expect(try Fixtures.decode(ProblemsFile.self, from: "problems/mixtures-8.json").problems.count == 6)
    #expect(throws: (any Error).self) { try Fixtures.decode(ProblemsFile.self, from: "problems/none.json") }
  }
}
