import Foundation
import Testing

import enum _TestSupport.DecodedJSON

/// `routegrad report` on estimators whose noise is continuous.
struct ContinuousNoiseTests {
  /// The sample with the router that its logits come from.
  private static let routed = Samples.mixture.replacing(
    #""logits": [0.3, -1.2, 0.8],"#,
    with: #"""
      "logits": [0.65, 0.775, 0.5], "router": {"weight": [[1.0, 0.5], [0.25, 1.0], [1.0, 0.3]],
      "bias": [0.0, 0.0, -0.01], "input": [0.3, 0.7]},
      """#)

  private func entries(_ estimators: String, _ input: String, _ more: [String] = []) throws -> [DecodedJSON] {
    let run = try Tool.run(["report", "-", "--format", "json", "--estimators", estimators] + more, input: input)
    try #require(run.status == 0, "\(run.error)")
    return try DecodedJSON(run.output)["problems"][0]["estimators"].items
  }

  @Test func namedEstimatorsAreIntegrated() throws {
    let list = "gumbel-softmax-st:tau=0.5,gumbel-rao:tau=0.5,K=1,gumbel-rao:tau=0.5,K=1000,switch:r=0.2"
    let all = try entries(list, Self.routed, ["--covariance"])
    for entry in all {
      #expect(entry["method"].string == "quadrature" && entry["outcomes"] == .null)
      #expect(entry["descentProbability"] == .null)
      let error = try #require(entry["meanError"].number)
      let mean = try #require(entry["mean"].numbers)
      #expect(error > 0 && error <= 1e-10 * mean.map(abs).max()!)
      #expect(entry["covariance"].rows?.map(\.count) == [3, 3, 3])
    }
    // One conditional draw is the plain estimator; a thousand leave what the choice itself varies.
    #expect(all[0]["variance"].numbers == all[1]["variance"].numbers)
    #expect(all[0]["mean"].numbers == all[2]["mean"].numbers)
    #expect(try #require(all[2]["totalVariance"].number) < #require(all[1]["totalVariance"].number))
    // Jitter has its own loss, and its gradient is an integral.
    #expect(all[0].keys.contains("targetError") == false)
    #expect(all[0]["targetGradient"].numbers != all[3]["targetGradient"].numbers)
    let targetError = try #require(all[3]["targetError"].number)
    #expect(targetError > 0 && targetError < 1e-10)
  }

  @Test func allAddsThem() throws {
    func ids(_ input: String) throws -> [String] { try entries("all", input).compactMap { $0["id"].string } }
    let family = ["gumbel-softmax-st", "gumbel-rao", "reinmax-rao", "gumbel-softmax"]
    #expect(Set(try ids(Samples.categorical)).isSuperset(of: family))
    #expect(Set(try ids(Samples.mixture)).isSuperset(of: family + ["switch"]))
    let standard = try Tool.run(["report", "-", "--format", "json"], input: Samples.mixture)
    #expect(
      !standard.output.contains("gumbel") && !standard.output.contains("-rao") && !standard.output.contains("switch"))
  }

  @Test func inputJitterNeedsTheRouter() throws {
    let known = try entries("switch:kind=input", Self.routed)[0]
    #expect(known["method"].string == "monte-carlo" && known["targetError"].number != nil)
    let sum = try #require(known["mean"].numbers).reduce(0, +)
    #expect(abs(sum) < 1e-15)
    let unknown = try entries("switch:kind=input", Samples.mixture)[0]
    #expect(unknown["unavailable"].string == "needs the router and its input")
    expectRefusal(
      try Tool.run(["report", "-"], input: Self.routed.replacing("0.775", with: "0.785")), status: 65,
      "router: expected weight·input + bias to give logits[1] = 0.785, got 0.77")
    expectRefusal(
      try Tool.run(["report", "-"], input: Self.routed.replacing("\"bias\"", with: "\"biases\"")), status: 65,
      "router.biases: expected no such field; a router has weight, bias, input")
  }

  /// What is left to sampling says so, with its samples, and follows the seed.
  @Test func whatIsSampledSaysSo() throws {
    let first = try entries("gumbel-softmax", Samples.list(wide), ["--seed", "1"])[0]
    #expect(first["method"].string == "monte-carlo" && first["samples"].number == 200_000)
    #expect(try entries("gumbel-softmax", Samples.list(wide), ["--seed", "2"])[0]["mean"] != first["mean"])
    #expect(try entries("gumbel-softmax", Samples.list(wide), ["--seed", "1", "--threads", "2"])[0] == first)
    let text = try Tool.run(["report", "-", "--estimators", "gumbel-softmax"], input: wide).output
    #expect(text.contains("~ "))
  }

  /// Five experts and a loss that is no polynomial: nothing but sampling is left.
  private let wide = """
    {"schema": "routegrad.problem/1", "kind": "mixture", "logits": [0.1, 0.2, 0.3, 0.4, 0.5],
     "expertOutputs": [[1], [2], [3], [4], [5]], "loss": {"type": "log-cosh", "scales": [1], "targets": [1]}}
    """

  @Test func oneExpertHasNothingToLearn() throws {
    let single = #"""
      {"schema": "routegrad.problem/1", "kind": "mixture", "logits": [2], "expertOutputs": [[1]],
       "router": {"weight": [[2]], "input": [1]}, "loss": {"type": "linear", "coefficients": [1]}}
      """#
    for entry in try entries("gumbel-softmax-st,gumbel-rao,reinmax-rao,gumbel-softmax,switch,switch:kind=input", single)
    {
      #expect(entry["mean"].numbers == [0] && entry["variance"].numbers == [0] && entry["meanError"].number == 0)
      #expect(entry["relativeBias"] == .null)
    }
  }

  @Test func tolerancesOutOfReachAreRefused() throws {
    try Folder.temporary { folder in
      let run = try Tool.run(
        [
          "report", "-", "--estimators", "gumbel-softmax-st", "--tolerance", "1e-18", "--output", "out.txt",
        ], input: Samples.mixture, in: folder)
      expectRefusal(
        run, status: 65, "standard input (sample): gumbel-softmax-st:tau=1: the tolerance 1e-18 cannot be reached",
        "the best error bound is ")
      #expect(try Folder.names(in: folder) == [])
    }
  }

  @Test func outcomesAreRefused() throws {
    for id in ["gumbel-softmax-st", "gumbel-rao", "reinmax-rao", "gumbel-softmax", "switch"] {
      expectRefusal(
        try Tool.run(["outcomes", "-", "--estimator", id], input: Samples.mixture), status: 64, id,
        "expected an estimator with finitely many outcomes")
    }
  }
}
