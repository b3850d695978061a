import Foundation
import Testing

import enum _TestSupport.DecodedJSON

struct OutcomesCommandTests {
  private func outcomes(_ estimator: String, _ input: String, _ more: [String] = []) throws -> [DecodedJSON] {
    let run = try Tool.run(["outcomes", "-", "--estimator", estimator] + more, input: input)
    try #require(run.status == 0, "\(run.error)")
    return try run.lines.map { try DecodedJSON(String($0)) }
  }

  /// Every estimator, the number of its outcomes on three experts, of draws and of coins.
  @Test(arguments: [
    ("reinforce", 3, 1, 0), ("reinforce:baseline=leave-one-out,samples=3", 27, 3, 0),
    ("conventional", 3, 1, 0),
    ("midpoint", 6, 1, 1), ("sparsemixer", 5, 1, 1), ("sparsemixer-v2", 5, 1, 1),
    ("sparsemixer-v2-top2", 15, 2, 2),
    ("quadrature:rule=heun3", 3, 1, 0), ("quadrature:rule=heun3,evaluation=one-node", 6, 1, 1),
    ("dense-backward", 3, 1, 0), ("default-moe:k=2", 1, 2, 0), ("exact", 1, 0, 0),
  ])
  func linesHaveEveryFieldOfTheContract(estimator: String, count: Int, draws: Int, coins: Int) throws {
    let lines = try outcomes(estimator, Samples.mixture)
    #expect(lines.count == count)
    for line in lines {
      #expect(line.keys == ["choice", "coins", "probability", "multiplier", "gradient"])
      #expect(line["choice"].numbers?.count == draws)
      #expect(line["coins"].numbers?.count == coins)
      #expect(line["multiplier"].numbers?.count == draws)
      #expect(line["gradient"].numbers?.count == 3)
    }
    let total = lines.reduce(0) { $0 + ($1["probability"].number ?? .nan) }
    #expect(abs(total - 1) < 1e-14)
  }

  /// Their mean is the mean that the report has.
  @Test(arguments: [
    "reinforce", "midpoint", "sparsemixer", "sparsemixer-v2-top2", "reinmax:tau=1.3", "exact",
  ])
  func meanIsThatOfTheReport(estimator: String) throws {
    var mean = [0.0, 0, 0]
    for line in try outcomes(estimator, Samples.mixture) {
      let gradient = try #require(line["gradient"].numbers)
      for k in 0..<3 { mean[k] += try #require(line["probability"].number) * gradient[k] }
    }
    let report = try Tool.run(
      ["report", "-", "--format", "json", "--estimators", estimator], input: Samples.mixture)
    let expected = try #require(
      try DecodedJSON(report.output)["problems"][0]["estimators"][0]["mean"].numbers)
    for k in 0..<3 { #expect(abs(mean[k] - expected[k]) < 1e-14) }
  }

  @Test func theArgmaxOfSparseMixerHasCoinOne() throws {
    let lines = try outcomes("sparsemixer", Samples.mixture)
    let argmax = lines.filter { $0["choice"].numbers == [2] }
    #expect(argmax.map { $0["coins"].numbers } == [[1]])
    #expect(lines.filter { $0["choice"].numbers == [0] }.map { $0["coins"].numbers } == [[0], [1]])
  }

  @Test func categoricalLinesHaveNoMultiplier() throws {
    for estimator in ["reinforce", "straight-through", "reinmax", "exact"] {
      for line in try outcomes(estimator, Samples.categorical) {
        #expect(line.keys == ["choice", "coins", "probability", "gradient"])
      }
    }
  }

  @Test func masksLeaveExpertsOut() throws {
    let lines = try outcomes("conventional", Samples.mixture, ["--mask", "paper", "--threshold", "0.5"])
    #expect(lines.map { $0["choice"].numbers } == [[0], [2]])
  }

  @Test func aProblemIsChosenByName() throws {
    let two = Samples.list(Samples.mixture, Samples.categorical)
    #expect(try outcomes("exact", two, ["--problem", "choice"]).count == 1)
    expectRefusal(
      try Tool.run(["outcomes", "-", "--estimator", "exact"], input: two), status: 64,
      "standard input: expected one problem, got 2; choose with --problem: sample, choice")
    expectRefusal(
      try Tool.run(["outcomes", "-", "--estimator", "exact", "--problem", "nix"], input: two), status: 64,
      "expected one problem named 'nix', got 0; names: sample, choice")
    expectRefusal(
      try Tool.run(
        ["outcomes", "-", "--estimator", "exact", "--problem", "sample"],
        input: Samples.list(Samples.mixture, Samples.mixture)),
      status: 64, "expected one problem named 'sample', got 2")
    expectRefusal(
      try Tool.run(["outcomes", Samples.shipped("real-router.json"), "--estimator", "exact"]), status: 64,
      "got 32", "real-router/token-00", ", …")
  }
}
