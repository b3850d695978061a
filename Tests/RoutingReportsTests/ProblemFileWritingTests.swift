import RoutingCore
import RoutingEstimators
import RoutingReports
import RoutingVerification
import Testing
import _TestSupport

@Suite("Problem files, written", .seeded)
struct ProblemFileWritingTests {
  /// The problem of a file.
  private func read(_ text: String) throws -> RoutingProblem {
    try #require(try ProblemFile.problems(of: Array(text.utf8), file: "f").first).problem
  }

  /// What is read back is what was written, to the bit: the exact outcomes agree, and so does the text.
  @Test func randomProblemsReadBack() {
    let result = PropertyCheck(runs: 500, seed: TestSeed.value).run { problem in
      let text = try ProblemFile.text(of: problem.problem)
      let back = try RoutedProblem(try read(text), mask: problem.mask)
      guard try ProblemFile.text(of: back.problem) == text else { return "written again, the text differs" }
      let outcomes = try Exact().outcomes(of: problem)
      let again = try Exact().outcomes(of: back)
      return outcomes.outcomes == again.outcomes ? nil : "the gradient differs"
    }
    #expect(result.holds, "\(result.report)")
  }

  @Test func shippedProblemsReadBack() throws {
    for filed in try ShippedProblems.all() {
      let text = try ProblemFile.text(of: filed.problem)
      #expect(try ProblemFile.text(of: try read(text)) == text)
    }
  }

  @Test func tablesReadBack() throws {
    let table = MixtureTable(
      nodes: [1, 0.5], values: [[1, 2], [3, 4]], slopes: [[5, 6], [7, 0.1]], valueAtZero: 0.25,
      mask: .paper(threshold: 0.3))
    let mixture = try MixtureProblem(name: "t", logits: [0, 1], expertOutputs: nil, source: .table(table))
    let text = try ProblemFile.text(of: .mixture(mixture))
    #expect(try ProblemFile.text(of: try read(text)) == text)
    let categorical = try CategoricalProblem(
      logits: [0, 1], source: .table(values: [1, 2], gradients: [[1, 2], [3, 4]]))
    let other = try ProblemFile.text(of: .categorical(categorical))
    #expect(try ProblemFile.text(of: try read(other)) == other)
  }

  @Test func whatFilesDoNotHaveIsSaid() throws {
    var maker = ProblemMaker("sums")
    let sum = try maker.polynomial(degree: 2, dimension: 2)
    let problem = RoutingProblem.categorical(try CategoricalProblem(logits: [0, 1], objective: sum))
    let error = #expect(throws: Unavailable.self) { try ProblemFile.text(of: problem) }
    #expect(error?.reason == "files have no objective of the type PolynomialSum")
  }

  @Test func aCounterExampleBringsItsFileAndItsCommand() throws {
    let result = PropertyCheck(seed: TestSeed.value).run { problem in
      if case .paper = problem.mask, problem.distribution.support.count < problem.experts { "masked" } else { nil }
    }
    let report = result.report
    #expect(report.contains("masked, on 2 experts"))
    #expect(report.contains("routegrad report counter-example.json --mask paper --threshold "))
    let file = try #require(report.range(of: "\n\n{")).lowerBound
    let text = String(report[report.index(file, offsetBy: 2)...])
    #expect(try read(text).logits == result.counterExample?.problem.problem.logits)
  }
}
