import Foundation
import RoutingReports
import Testing

import enum _TestSupport.DecodedJSON

struct ReportCommandTests {
  private static let entryFields: Set = [
    "id", "parameters", "method", "outcomes", "target", "targetGradient", "mean", "variance", "bias",
    "biasNorm",
    "relativeBias", "cosine", "bestScale", "scaledRelativeBias", "totalVariance", "relativeStandardDeviation",
    "meanSquaredError", "signalToNoise", "descentProbability", "expertEvaluations", "meanError",
    "varianceError",
  ]

  /// A report that has to succeed, read back.
  private func json(_ arguments: [String], input: String = "") throws -> DecodedJSON {
    let run = try Tool.run(["report", "--format", "json"] + arguments, input: input)
    try #require(run.status == 0, "\(run.error)")
    #expect(run.error == "")
    return try DecodedJSON(run.output)
  }

  @Test func jsonHasEveryFieldOfTheContract() throws {
    let report = try json(["-"], input: Samples.list(Samples.mixture, Samples.categorical))
    #expect(report.keys == ["schema", "version", "problems"])
    #expect(report["schema"].string == "routegrad.report/1")
    #expect(report["version"].string == routeGradVersion)
    #expect(report["problems"].items.map { $0["name"].string } == ["sample", "choice"])
    #expect(report["problems"].items.map { $0["kind"].string } == ["mixture", "categorical"])
    for problem in report["problems"].items {
      #expect(
        problem.keys == [
          "name", "kind", "experts", "expectedLoss", "mask", "targets", "target", "estimators",
        ])
      #expect(problem["experts"].number == 3)
      #expect(problem["expectedLoss"].number != nil)
      #expect(
        problem["mask"]
          == .object([
            "rule": .string("none"), "threshold": .null,
            "support": .array([.number(0), .number(1), .number(2)]),
          ]))
      #expect(
        problem["targets"].keys
          == ["expected-loss", "routing-term", "gating-term", "dense-mixture", "dense-backward"])
      let isMixture = problem["kind"].string == "mixture"
      for target in problem["targets"].keys {
        #expect((problem["targets"][target].numbers?.count == 3) == (isMixture || target == "expected-loss"))
      }
      #expect(problem["target"].string == "expected-loss")
      #expect(problem["estimators"].items.count == (isMixture ? 15 : 7))
      for entry in problem["estimators"].items {
        #expect(entry.keys == Self.entryFields)
        #expect(entry["method"].string == "enumeration")
        #expect(entry["outcomes"].number ?? 0 >= 1)
        #expect(entry["target"].string == "expected-loss")
        for field in ["targetGradient", "mean", "variance", "bias"] {
          #expect(entry[field].numbers?.count == 3)
        }
        let bias = try #require(entry["bias"].numbers)
        let norm = bias.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(abs(try #require(entry["biasNorm"].number) - norm) <= 1e-15 * (1 + norm))
      }
    }
  }

  @Test func covarianceIsAdded() throws {
    let report = try json(["-", "--covariance", "--estimators", "reinforce"], input: Samples.mixture)
    let entry = report["problems"][0]["estimators"][0]
    #expect(entry.keys == Self.entryFields.union(["covariance"]))
    let rows = try #require(entry["covariance"].rows)
    #expect(rows.map(\.count) == [3, 3, 3])
    for k in 0..<3 { #expect(abs(rows[k][k] - entry["variance"].numbers![k]) < 1e-15) }
  }

  @Test func estimatorsComeInTheOrderAskedFor() throws {
    let list =
      "exact,quadrature:rule=gauss-legendre,points=2,evaluation=one-node,midpoint,reinforce:baseline=optimal"
    let entries = try json(["-", "--estimators", list], input: Samples.mixture)["problems"][0]["estimators"]
      .items
    #expect(entries.map { $0["id"].string } == ["exact", "quadrature", "midpoint", "reinforce"])
    #expect(
      entries[1]["parameters"]
        == .object([
          "rule": .string("gauss-legendre"), "points": .number(2), "evaluation": .string("one-node"),
        ]))
    let absent = try json(["-", "--estimators", "midpoint,reinmax"], input: Samples.categorical)
    #expect(
      absent["problems"][0]["estimators"][0]
        == .object(["id": .string("midpoint"), "unavailable": .string("needs a mixture problem")]))
  }

  @Test func allAddsNothingButTheRestOfTheRegistry() throws {
    let standard = try json(["-"], input: Samples.mixture)["problems"][0]["estimators"].items
    let all = try json(["-", "--estimators", "all"], input: Samples.mixture)["problems"][0]["estimators"]
      .items
    #expect(Set(standard.map { $0["id"].string }).isSubset(of: all.map { $0["id"].string }))
  }

  @Test func masksAreAppliedAndSaid() throws {
    let problem = try json(["-", "--mask", "paper", "--threshold", "0.3"], input: Samples.mixture)[
      "problems"][0]
    // 0.8 − 0.3 ≤ 0.3 (0.8 + 0.3) does not hold, so one expert is left and every gradient is 0.
    #expect(
      problem["mask"]
        == .object(["rule": .string("paper"), "threshold": .number(0.3), "support": .array([.number(2)])]))
    #expect(problem["targets"]["expected-loss"].numbers == [0, 0, 0])
    let wide = try json(["-", "--mask", "reference-code"], input: Samples.mixture)["problems"][0]
    #expect(wide["mask"]["threshold"].number == 0.1)
    let run = try Tool.run(
      ["report", "-", "--mask", "paper"], input: Samples.list(Samples.mixture, Samples.categorical))
    #expect(run.status == 0)
    #expect(run.error == "routegrad: note: categorical problems take no mask: 1 of 2 go without\n")
    #expect(run.output.contains("Categorical problems take no mask: 1 of 2 go without."))
    let quiet = try Tool.run(
      ["report", "-", "--mask", "paper", "--quiet"], input: Samples.list(Samples.mixture, Samples.categorical)
    )
    #expect(quiet.error == "")
    #expect(quiet.output == run.output)
  }

  @Test func targetsAreHeldAgainst() throws {
    let problem = try json(["-", "--target", "gating-term"], input: Samples.mixture)["problems"][0]
    #expect(problem["target"].string == "gating-term")
    let conventional = try #require(problem["estimators"].items.first { $0["id"].string == "conventional" })
    #expect(conventional["targetGradient"] == problem["targets"]["gating-term"])
    #expect(try #require(conventional["relativeBias"].number) < 1e-15)
  }

  @Test func monteCarloDependsOnTheSeedAndNotOnThreads() throws {
    let arguments = [
      "report", "-", "--format", "json", "--method", "monte-carlo", "--samples", "40000", "--estimators",
      "reinforce,sparsemixer",
    ]
    let input = Samples.list(Samples.mixture, Samples.categorical, Samples.mixture)
    func run(_ more: [String]) throws -> String { try Tool.run(arguments + more, input: input).output }
    let first = try run(["--seed", "7", "--threads", "1"])
    #expect(try run(["--seed", "7", "--threads", "2"]) == first)
    #expect(try run(["--seed", "7", "--threads", "3"]) == first)
    #expect(try run(["--seed", "8"]) != first)
    #expect(try run([]) == run(["--seed", "0"]))
    let entry = try DecodedJSON(first)["problems"][0]["estimators"][0]
    #expect(entry["method"].string == "monte-carlo")
    #expect(entry["outcomes"] == .null)
    #expect(try #require(entry["meanError"].number) > 0)
    #expect(try #require(entry["varianceError"].number) > 0)
  }

  @Test func csvHasARowForEachProblemAndEstimator() throws {
    let run = try Tool.run(
      ["report", "-", "--format", "csv", "--estimators", "exact,midpoint"],
      input: Samples.list(Samples.mixture.replacing("sample", with: "a, \\\"b\\\""), Samples.categorical))
    #expect(run.status == 0)
    let lines = run.lines
    #expect(lines.count == 5)
    let columns = lines[0].split(separator: ",").map(String.init)
    #expect(columns.first == "problem")
    #expect(columns.last == "unavailable")
    #expect(
      Self.entryFields.subtracting(["targetGradient", "mean", "variance", "bias"]).isSubset(of: columns))
    #expect(lines[1].hasPrefix(#"0,"a, ""b""",mixture,3,"#))
    #expect(lines[3].hasPrefix("1,choice,categorical,3,"))
    #expect(lines[4].hasSuffix(",needs a mixture problem"))
    #expect(lines[4].split(separator: ",", omittingEmptySubsequences: false).count == columns.count)
  }

  @Test func markdownHasATableForEachProblem() throws {
    let run = try Tool.run(
      ["report", "-", "--format", "markdown"], input: Samples.list(Samples.mixture, Samples.categorical))
    #expect(run.output.contains("### sample\n\nmixture of 3 experts, expected loss "))
    #expect(run.output.contains("\n| estimator | rel. bias | cosine | rel. bias rescaled |"))
    #expect(run.output.contains("\n| reinforce | 0 | 1 | 0 |"))
    let widths = Set(run.lines.filter { $0.hasPrefix("|") }.map { $0.count { $0 == "|" } })
    #expect(widths == [8])
  }

  @Test func withoutAFileTheShippedProblemsAreReported() throws {
    let run = try Tool.run(["report"])
    #expect(run.status == 0)
    #expect(run.error == "")
    // What matters comes first, on one or two screens.
    #expect(run.output.hasPrefix("Summary of 4 categorical problems  against expected-loss\n"))
    for title in ["Summary of 38 mixture problems", "Worst cases of 38 mixture problems"] {
      #expect(run.output.contains("\n\(title)"))
    }
    #expect(run.lines.count < 70)
    #expect(run.output.hasSuffix("A table for each of the 42 problems: --details.\n"))
    let all = try Tool.run(["report", "--details"])
    #expect(all.lines.count > 500 && !all.output.contains("--details"))
    let legend = try #require(run.output.range(of: "\n∇: "))
    #expect(all.output.hasPrefix(run.output[..<legend.lowerBound]))
    #expect(all.output.contains("\nreal-router/token-27  mixture of 8 experts"))
  }

  /// Few problems keep their tables, which come first.
  @Test(arguments: [1, 2, 4, 5])
  func fewProblemsKeepTheirDetails(count: Int) throws {
    let problems = (0..<count).map { Samples.mixture.replacing("\"sample\"", with: "\"sample \($0)\"") }
    let input = #"{"schema": "routegrad.problems/1", "problems": [\#(problems.joined(separator: ","))]}"#
    let run = try Tool.run(["report", "-"], input: input)
    #expect(run.status == 0)
    #expect(run.output.hasPrefix(count <= 4 ? "sample 0  mixture of 3 experts" : "Summary of 5 mixture problems"))
    #expect(run.output.contains("Summary of") == (count > 1))
    #expect(run.output.contains("\nsample 3  mixture") == (count == 4))
    let worst = try Tool.run(["report", "-", "--details"], input: input)
    #expect(worst.output.contains("sample \(count - 1)  mixture of 3 experts"))
  }

  @Test(arguments: ["json", "csv", "markdown"])
  func detailsGoWithTables(format: String) throws {
    expectRefusal(try Tool.run(["report", "--details", "--format", format]), status: 64, "'--details'")
  }

  /// What is wrong with a later problem leaves no file and nothing on standard output.
  @Test(arguments: OutputFormats.all)
  func refusalsLeaveNothing(format: String) throws {
    let wrong = Samples.categorical.replacing("[[1, 2, 3], [3, 4, 5.5]]", with: "[[1, 2, 3], [3, 4]]")
    try Folder.temporary { folder in
      for output in [[], ["--output", "r"]] {
        let run = try Tool.run(
          ["report", "-", "--format", format] + output, input: Samples.list(Samples.mixture, wrong), in: folder)
        expectRefusal(run, status: 65, "problems[1]")
        #expect(try Folder.names(in: folder) == [])
      }
    }
  }

  @Test func severalFilesAreReportedInOrder() throws {
    let files = ["reinmax-polynomial.json", "categorical-8.json"].map { Samples.shipped($0) }
    let names = try json(files + ["-"], input: Samples.mixture)["problems"].items.map { $0["name"].string }
    #expect(
      names == [
        "reinmax-polynomial-1.5", "reinmax-polynomial-2", "reinmax-polynomial-3",
        "categorical-8-cross-entropy",
        "sample",
      ])
  }
}
