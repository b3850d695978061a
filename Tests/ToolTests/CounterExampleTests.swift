import Foundation
import RoutingExpectations
import RoutingReports
import RoutingVerification
import Testing
import _TestSupport

/// What a property check prints is a file that the program reads.
@Suite(.seeded) struct CounterExampleTests {
  @Test func aCounterExampleIsReported() throws {
    let generator = ProblemGenerator(kinds: [.mixture])
    let result = PropertyCheck(generator, seed: TestSeed.value).run { problem in
      let assessment = try Assessment(of: EstimatorSpecifications.finite("conventional"), on: problem)
      guard case .referenceCode = problem.mask, let bias = assessment.relativeBias, bias > 0.01 else { return nil }
      return "biased by \(bias)"
    }
    let report = try #require(result.counterExample).report
    let parts = report.components(separatedBy: "\n\n")
    try #require(parts.count == 3)
    let arguments = try #require(parts[1].components(separatedBy: "routegrad ").last).split(separator: " ").map(
      String.init)
    try Folder.temporary { folder in
      try Data(parts[2].utf8).write(to: folder.appending(path: "counter-example.json"))
      let run = try Tool.run(arguments + ["--estimators", "conventional", "--format", "json"], in: folder)
      #expect(run.status == 0, "\(run.error)")
      let problem = try DecodedJSON(run.output)["problems"][0]
      #expect(problem["mask"]["rule"].string == "reference-code")
      #expect(try #require(problem["estimators"][0]["relativeBias"].number) > 0.01)
    }
  }
}
