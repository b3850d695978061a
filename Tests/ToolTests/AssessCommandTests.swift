import Foundation
import Testing
import _TestSupport

/// `routegrad assess` as a user calls it.
struct AssessCommandTests {
  private func withProblem<Result>(_ body: (URL) throws -> Result) throws -> Result {
    try Folder.temporary { folder in
      try Data(Samples.mixture.utf8).write(to: folder.appending(path: "p.json"))
      return try body(folder)
    }
  }

  private func assess(_ arguments: [String], _ samples: String, in folder: URL) throws -> Tool.Run {
    try Tool.run(["assess", "-", "--problem", "p.json"] + arguments, input: samples, in: folder)
  }

  /// Lines of numbers about what an exact gradient might be.
  private func noise(_ count: Int) -> String {
    var generator = TestSeed.generator("assess noise")
    return (0..<count).map { _ in
      (0..<3).map { "\(generator.nextOpenUnit() - 0.2 * Double($0))" }.joined(separator: ",") + "\n"
    }.joined()
  }

  private static let scalars = [
    "biasNorm", "relativeBias", "cosine", "bestScale", "scaledRelativeBias", "totalVariance",
    "relativeStandardDeviation",
    "meanSquaredError", "signalToNoise", "descentProbability",
  ]

  /// Outcomes say of an estimator what `report` says of it.
  @Test(arguments: ["sparsemixer", "reinmax", "reinforce", "conventional", "exact", "straight-through:tau=0.7"])
  func outcomesAreExact(estimator: String) throws {
    try withProblem { folder in
      let outcomes = try Tool.run(["outcomes", "p.json", "--estimator", estimator], in: folder).output
      let run = try assess(["--format", "json", "--estimators", estimator], outcomes, in: folder)
      #expect(run.status == 0 && run.error == "", "\(run.error)")
      let report = try DecodedJSON(run.output)
      #expect(report["schema"].string == "routegrad.assessment/1")
      #expect(report["samples"]["method"].string == "enumeration")
      #expect(report["samples"]["intervals"] == .null)
      let registered = report["estimators"][0]
      for name in Self.scalars {
        let (found, known) = (report["samples"][name].number, registered[name].number)
        guard let found, let known else {
          #expect(found == known, "\(name)")
          continue
        }
        #expect((found - known).magnitude <= 1e-12 * max(1, known.magnitude), "\(name): \(found), \(known)")
      }
      let people = try assess([], outcomes, in: folder).output
      #expect(people.contains("Exact: everything that can happen"))
      #expect(!people.contains("95 %"))
    }
  }

  @Test func samplesHaveIntervals() throws {
    try withProblem { folder in
      let run = try assess(["--format", "json", "--estimators", "reinmax,sparsemixer"], noise(500), in: folder)
      #expect(run.status == 0, "\(run.error)")
      let report = try DecodedJSON(run.output)
      let samples = report["samples"]
      #expect(samples["count"].number == 500 && samples["method"].string == "monte-carlo")
      #expect(report["estimators"].items.count == 2)
      let intervals = samples["intervals"]
      #expect(intervals["confidence"].number == 0.95 && intervals["seed"].string == "0")
      for name in Self.scalars where intervals[name] != .null {
        let value = try #require(samples[name].number)
        #expect(try #require(intervals[name][0].number) <= value && value <= (try #require(intervals[name][1].number)))
      }
      // The triangle inequality, as the format says.
      let distance = try #require(samples["bias"].numbers).reduce(0) { $0 + $1 * $1 }.squareRoot()
      let radius = try #require(intervals["meanRadius"].number)
      #expect(abs(try #require(intervals["biasNorm"][1].number) - (distance + radius)) <= 1e-12)
    }
  }

  @Test(arguments: OutputFormats.all)
  func threadsAndBatchesChangeNoByte(format: String) throws {
    try withProblem { folder in
      let text = noise(3000)
      let one = try assess(["--format", format, "--threads", "1", "--estimators", "exact"], text, in: folder)
      let four = try assess(["--format", format, "--threads", "4", "--estimators", "exact"], text, in: folder)
      #expect(one.status == 0 && one.output == four.output && !one.output.isEmpty)
      let seeded = try assess(["--format", format, "--seed", "1", "--estimators", "exact"], text, in: folder)
      #expect(seeded.status == 0 && seeded.output != one.output)
    }
  }

  @Test func everyFormatOfSamplesIsRead() throws {
    try withProblem { folder in
      let csv = "0.5,0.25,-1\n1,0,0\n0,1,2\n0.25,0.5,1\n"
      let lines = csv.split(separator: "\n").map { "{\"gradient\": [\($0)]}\n" }.joined()
      func numbers(_ samples: String) throws -> DecodedJSON {
        try DecodedJSON(try assess(["--format", "json"], samples, in: folder).output)["samples"]
      }
      let (fromCSV, fromLines) = (try numbers(csv), try numbers(lines))
      #expect(fromCSV["mean"] == fromLines["mean"] && fromCSV["intervals"] == fromLines["intervals"])
      #expect(fromCSV["format"].string == "csv" && fromLines["format"].string == "json-lines")
      let array = try Tool.run(
        ["assess", Fixtures.root.appending(path: "samples/f8.npy").path, "--problem", "p.json", "--format", "json"],
        in: folder)
      #expect(array.status == 0, "\(array.error)")
      #expect(try DecodedJSON(array.output)["samples"]["format"].string == "npy")
    }
  }

  @Test func csvHasOneRowForEachEstimator() throws {
    try withProblem { folder in
      let run = try assess(["--format", "csv", "--estimators", "reinmax,gumbel-softmax-st"], noise(50), in: folder)
      let rows = run.output.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
      #expect(rows.count == 4 && Set(rows.map(\.count)).count == 1)
      #expect(rows[1][0] == "samples" && rows[2][0] == "reinmax")
    }
  }

  @Test func noMoreThanMaxSamplesAreRead() throws {
    try withProblem { folder in
      let text = noise(5000) + "this is not read\n"
      let run = try assess(["--format", "json", "--max-samples", "1500"], text, in: folder)
      #expect(run.status == 0, "\(run.error)")
      let first = text.split(separator: "\n").prefix(1500).joined(separator: "\n")
      let alone = try assess(["--format", "json"], first, in: folder)
      #expect(alone.output == run.output)
    }
  }

  /// Several experts drawn have an expected loss of their own.
  @Test(arguments: [
    ("sparsemixer-v2-top2", ["--draws", "2"]), ("sparsemixer-v2-top2", ["--draws-of", "sparsemixer-v2-top2"]),
    ("simple:k=2", ["--draws-of", "probmoe:k=2"]), ("probmoe:k=1,k-max=2", ["--draws-of", "simple:k=1,k-max=2"]),
    ("subset-reinforce:k=2", ["--draws-of", "subset-reinforce:law=plackett-luce,k=2"]),
  ])
  func severalDraws(_ estimator: String, _ arguments: [String]) throws {
    try withProblem { folder in
      let outcomes = try Tool.run(["outcomes", "p.json", "--estimator", estimator], in: folder).output
      let known = try DecodedJSON(
        try Tool.run(["report", "p.json", "--estimators", estimator, "--format", "json"], in: folder).output)
      let run = try assess(arguments + ["--format", "json"], outcomes, in: folder)
      let (found, expected) = (
        try DecodedJSON(run.output)["samples"]["relativeBias"].number,
        known["problems"][0]["estimators"][0]["relativeBias"].number
      )
      #expect(abs(try #require(found) - (try #require(expected))) <= 1e-12)
    }
  }

  @Test func refusals() throws {
    try withProblem { folder in
      expectRefusal(try assess([], "", in: folder), status: 65, "expected samples")
      expectRefusal(try assess([], "1,2,3\n", in: folder), status: 65, "expected at least 2 samples, got 1")
      expectRefusal(try assess([], "1,2\n3,4\n", in: folder), status: 65, "line 1", "expected 3 numbers")
      expectRefusal(try assess([], "1,2,3\n1,2,inf\n", in: folder), status: 65, "line 2: column 3")
      expectRefusal(
        try assess([], #"{"gradient": [1, 2, 3], "probability": 0.9}"#, in: folder), status: 65, "sum to 1, got 0.9")
      expectRefusal(try assess([], "1e200,0,0\n-1e200,0,0\n", in: folder), status: 65, "overflows Float64")
      for (arguments, part) in [
        (["--confidence", "1"], "'--confidence': expected a number from 0.5 to 0.999"),
        (["--draws", "3"], "'--draws'"), (["--draws-of", "simpel"], "did you mean 'simple'?"),
        (["--draws", "2", "--draws-of", "simple"], "'--draws' and '--draws-of' say the same"),
        (["--draws-of", "simple:k=9"], "needs 9 experts that may be drawn"),
        (["--max-samples", "1"], "'--max-samples': expected at least 2"), (["--estimators", "reinmx"], "did you mean"),
        (["--target", "nonsense"], "nonsense"),
      ] {
        let run = try assess(arguments, "1,2,3\n", in: folder)
        #expect(run.status == 64 && run.error.contains(part) && run.output == "", "\(run.error)")
      }
      expectRefusal(
        try Tool.run(["assess", "missing.npy", "--problem", "p.json"], in: folder), status: 66, "missing.npy")
      expectRefusal(
        try Tool.run(["assess", "p.json", "--problem", "p.json", "--output", "no/folder"], in: folder), status: 65)
    }
  }

  @Test func categoricalProblemsHaveOneTarget() throws {
    try Folder.temporary { folder in
      try Data(Samples.categorical.utf8).write(to: folder.appending(path: "p.json"))
      let run = try assess(["--target", "gating-term"], "1,2,3\n", in: folder)
      #expect(run.status == 64, "\(run.error)")
    }
  }
}
