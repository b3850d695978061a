import CStandardLibrary
import Foundation
import Testing
import _TestSupport

/// `routegrad verify` as a user calls it.
struct VerifyCommandTests {
  /// A folder with the sample problem in `p.json`.
  private func withProblem<Result>(_ body: (URL) throws -> Result) throws -> Result {
    try Folder.temporary { folder in
      try Data(Samples.mixture.utf8).write(to: folder.appending(path: "p.json"))
      return try body(folder)
    }
  }

  private func outcomes(_ estimator: String, in folder: URL) throws -> [DecodedJSON] {
    try Tool.run(["outcomes", "p.json", "--estimator", estimator], in: folder).lines.map { try DecodedJSON(String($0)) }
  }

  /// JSON lines of samples, drawn from the outcomes that the program prints itself.
  private func samples(
    _ estimator: String, count: Int, factor: Double = 1, draws: Bool = true, in folder: URL
  ) throws -> String {
    let outcomes = try outcomes(estimator, in: folder)
    let parts = try outcomes.map { outcome -> (probability: Double, line: String) in
      let gradient = try #require(outcome["gradient"].numbers).map { "\(factor * $0)" }.joined(separator: ", ")
      let choice = try #require(outcome["choice"].numbers).map { "\(Int($0))" }.joined(separator: ", ")
      let coins = try #require(outcome["coins"].numbers).map { "\(Int($0))" }.joined(separator: ", ")
      let drawn = draws ? ", \"choice\": [\(choice)], \"coins\": [\(coins)]" : ""
      return (try #require(outcome["probability"].number), "{\"gradient\": [\(gradient)]\(drawn)}\n")
    }
    var generator = TestSeed.generator("verify samples \(estimator)")
    var text = ""
    for _ in 0..<count {
      var unit = generator.nextOpenUnit()
      let drawn = parts.first { part in
        unit -= part.probability
        return unit < 0
      }
      text += (drawn ?? parts[0]).line
    }
    return text
  }

  private func verify(
    _ arguments: [String], _ samples: String, estimator: String? = "sparsemixer", in folder: URL
  ) throws -> Tool.Run {
    let named = estimator.map { ["--estimator", $0] } ?? []
    return try Tool.run(
      ["verify", "-", "--problem", "p.json"] + named + arguments, input: samples, in: folder)
  }

  // MARK: Numbers of any size

  /// Neither traps nor writes what is no JSON: what overflows is null in JSON and ∞ in the table.
  @Test(
    arguments: [1e140, 1e155, -1e200, 1.797e308, 5e-324, -0.0],
    [
      "", ", \"choice\": [0], \"coins\": [1]", ", \"choice\": [0], \"coins\": [1], \"probability\": 0.5",
      ", \"probability\": 1",
    ])
  func everyFiniteGradientIsJudged(value: Double, draw: String) throws {
    try withProblem { folder in
      let line = "{\"gradient\": [\(value), \(value), \(-value)]\(draw)}\n"
      let opposite = line.replacing("[\(value)", with: "[\(-value)")
      for text in [line, line + opposite + line] {
        for format in ["text", "json"] {
          let run = try verify(["--format", format], text, in: folder)
          #expect([1, 2].contains(run.status), "\(run.error)")
          if format == "json" { #expect(try DecodedJSON(run.output)["verdict"].string != nil) }
          let target = try verify(
            ["--format", format, "--bounds=-1e140,1e140", "--tolerance", "0"], text, estimator: nil, in: folder)
          #expect((0...2).contains(target.status), "\(target.error)")
        }
      }
    }
  }

  @Test func whatOverflowsIsNullOrInfinite() throws {
    try withProblem { folder in
      let line = #"{"gradient": [1e155, 0, 0], "choice": [0], "coins": [1], "probability": 0.5}"#
      let json = try DecodedJSON(try verify(["--format", "json"], line, in: folder).output)
      let moments = try #require(json["parts"].items.first { $0["check"].string == "moments" })
      #expect(moments["variance"][0] == .null && moments["variance"][1].number == 0)
      #expect(moments["covarianceDeviation"] == .null)
      #expect(try verify([], line, in: folder).output.contains("of the covariance ∞"))
    }
  }

  @Test(arguments: ["-1e155,1e155", "-8e307,8e307"])
  func overflowingBoundsAreData(bounds: String) throws {
    try withProblem { folder in
      let run = try verify(["--bounds=\(bounds)"], #"{"gradient": [0, 0, 0]}"#, estimator: nil, in: folder)
      expectRefusal(run, status: 65, "the square of a bound on the samples overflows Float64")
    }
  }

  @Test func overflowingTargetsAreData() throws {
    try Folder.temporary { folder in
      let problem = """
        {"schema": "routegrad.problem/1", "kind": "categorical", "logits": [0, 0, 0],
         "objective": {"type": "linear", "coefficients": [1.7e308, -1.7e308, 0]}}
        """
      try Data(problem.utf8).write(to: folder.appending(path: "p.json"))
      let run = try verify(["--bounds=-1,1"], #"{"gradient": [0, 0, 0]}"#, estimator: nil, in: folder)
      expectRefusal(run, status: 65, "overflows Float64")
    }
  }

  // MARK: Verdicts

  @Test func provedByOutcomes() throws {
    try withProblem { folder in
      for estimator in ["sparsemixer", "reinforce:baseline=leave-one-out", "sparsemixer-v2-top2", "exact", "reinmax"] {
        let own = try Tool.run(["outcomes", "p.json", "--estimator", estimator], in: folder).output
        let run = try verify(["--format", "json"], own, estimator: estimator, in: folder)
        #expect(run.status == 0, "\(run.error)")
        let report = try DecodedJSON(run.output)
        #expect(report["schema"].string == "routegrad.verdict/1")
        #expect(report["verdict"].string == "proved")
        #expect(report["parts"][0]["verdict"].string == "proved")
        #expect(report["parts"][1]["check"].string == "moments")
      }
    }
  }

  @Test func consistentWithSamples() throws {
    try withProblem { folder in
      for draws in [true, false] {
        let text = try samples("sparsemixer", count: 12_000, draws: draws, in: folder)
        let run = try verify(["--detectable-bias", "0.2", "--format", "json"], text, in: folder)
        #expect(run.status == 0, "\(run.output) \(run.error)")
        let report = try DecodedJSON(run.output)
        #expect(report["verdict"].string == "consistent")
        #expect(report["falseFailRate"].number == 1e-6)
        #expect(try #require(report["samples"]["count"].number) < 12_000)  // it stopped where it knew enough
        let people = try verify(["--detectable-bias", "0.2"], text, in: folder)
        #expect(people.output.hasPrefix("consistent: no coordinate's mean is off sparsemixer by "))
        #expect(people.output.contains("by outcome") == draws)
      }
    }
  }

  @Test func refutedByOneSample() throws {
    try withProblem { folder in
      let text = try samples("sparsemixer", count: 10, factor: 0.5, in: folder)
      let run = try verify(["--format", "json"], text, in: folder)
      #expect(run.status == 1)
      #expect(run.error == "")
      let report = try DecodedJSON(run.output)
      #expect(report["verdict"].string == "refuted")
      #expect(report["counterExample"]["kind"].string == "gradient")
      #expect(report["counterExample"]["place"].string == "line 1")
      #expect(report["samples"]["count"].number == 1)
      #expect(try verify([], text, in: folder).output.hasPrefix("refuted: line 1: given choice ["))
    }
  }

  /// Unbiasedness, from gradients alone: the conventional gradient is not that of the expected loss.
  @Test func refutedByTheMean() throws {
    try withProblem { folder in
      let text = try samples("conventional", count: 20_000, draws: false, in: folder)
      let run = try verify(["--bounds", "-1,1"], text, estimator: nil, in: folder)
      #expect(run.status == 1, "\(run.output)")
      #expect(run.output.contains("expected-loss has"))
      let own = try verify(
        ["--bounds=-1,1", "--target", "gating-term", "--max-samples", "500"], text, estimator: nil, in: folder)
      #expect(own.status == 2, "\(own.output)")
      #expect(own.output.hasPrefix("undecided: 500 samples were too few"))
    }
  }

  @Test func undecidedAtTheEnd() throws {
    try withProblem { folder in
      let run = try verify(["--format", "json"], samples("sparsemixer", count: 50, in: folder), in: folder)
      #expect(run.status == 2)
      let report = try DecodedJSON(run.output)
      #expect(report["verdict"].string == "undecided")
      #expect(try #require(report["smallestDetectableBias"].number) > 0)
      #expect(report["requiredSamples"].number ?? 0 > 50)
    }
  }

  @Test func choicesOutOfProportion() throws {
    try withProblem { folder in
      // Conditional gradients are right, but one choice comes too often.
      let lines = try samples("conventional", count: 30, in: folder).split(separator: "\n")
      let line = try #require(lines.first)
      let text = String(repeating: line + "\n", count: 400)
      let run = try verify([], text, estimator: "conventional", in: folder)
      #expect(run.status == 1, "\(run.output)")
    }
  }

  // MARK: Pipes

  /// Starts a verification of what is written to `end`; its verdict goes to `output`.
  private func verifyPipe(in folder: URL) throws -> (process: pid_t, end: Int32, output: URL) {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
    let output = folder.appending(path: "out")
    try Data().write(to: output)
    let process = try Tool.start(
      ["verify", "-", "--problem", "p.json", "--bounds=-1,1"], input: .descriptor(ends[0]),
      output: .file(output.path), error: .file("/dev/null"), in: folder)
    close(ends[0])
    return (process, ends[1], output)
  }

  /// The program that feeds the pipe is stopped as soon as the verdict is in.
  @Test func anEndlessPipeIsClosed() throws {
    try withProblem { folder in
      let (process, end, output) = try verifyPipe(in: folder)
      // Zeros for ever; the write fails once nobody reads.
      signal(SIGPIPE, SIG_IGN)
      let chunk = Array(String(repeating: "0,0,0\n", count: 100).utf8)
      var written = 0
      while true {
        let count = write(end, chunk, chunk.count)
        guard count > 0 else { break }
        written += count
        try #require(written < 1 << 24, "the pipe was not closed")
      }
      close(end)
      #expect(try Tool.wait(for: process) == 1)
      #expect(try String(contentsOf: output, encoding: .utf8).hasPrefix("refuted: "))
    }
  }

  @Test func interruptedIs130() throws {
    try withProblem { folder in
      let (process, end, output) = try verifyPipe(in: folder)
      let line = Array("0,0,0\n".utf8)
      _ = write(end, line, line.count)
      usleep(300_000)
      kill(process, SIGINT)
      #expect(try Tool.wait(for: process) == 130)
      close(end)
      #expect(try Data(contentsOf: output).isEmpty)
    }
  }

  // MARK: Formats

  @Test(arguments: ["f4.npy", "deflated.npz", "piped-single.npz"])
  func arraysOfNumPy(_ name: String) throws {
    try withProblem { folder in
      let file = Fixtures.root.appending(path: "samples/\(name)")
      let options = ["--problem", "p.json", "--bounds=-2,2", "--format", "json"]
      let run = try Tool.run(["verify", file.path] + options, in: folder)
      #expect(run.status == 2, "\(run.error)")
      #expect(try DecodedJSON(run.output)["samples"]["count"].number == 8)
      if name != "deflated.npz" {
        let piped = try Tool.run(["verify", "-"] + options, input: Data(contentsOf: file), in: folder)
        #expect(piped.status == 2, "\(piped.error)")
      }
    }
  }

  // MARK: Refusals

  @Test(arguments: [
    ("0,0,0\n0,0\n", "standard input: line 2: expected 3 numbers"),
    ("0,0,0\n0,nan,0\n", "line 2: column 2: expected a finite number, got 'nan'"),
    ("{\"gradient\": [0, 0, 0, 0]}\n", "line 1: gradient: expected 3 numbers"),
    ("{\"gradient\": [0, 0, 0]}\nx\n", "line 2: expected a JSON value"), ("", "expected samples, got an empty stream"),
    ("a,b,c\n", "expected at least one sample, got none"),
  ])
  func malformedStreamsAre65(text: String, message: String) throws {
    try withProblem { folder in
      expectRefusal(try verify(["--bounds=-1,1"], text, estimator: nil, in: folder), status: 65, message)
    }
  }

  @Test func truncatedArrayIs65() throws {
    try withProblem { folder in
      let bytes = try Data(contentsOf: Fixtures.root.appending(path: "samples/f8.npy"))
      expectRefusal(
        try Tool.run(
          ["verify", "-", "--problem", "p.json", "--bounds=-2,2"], input: bytes.dropLast(30), in: folder),
        status: 65, "standard input: row 6 of 8: expected 24 bytes, got 18")
    }
  }

  @Test func filesThatCannotBeOpenedAre66() throws {
    try withProblem { folder in
      for samples in ["missing.npy", folder.path] {
        expectRefusal(
          try Tool.run(["verify", samples, "--problem", "p.json", "--bounds=-1,1"], in: folder), status: 66,
          "cannot be read")
      }
      expectRefusal(
        try Tool.run(["verify", "-", "--problem", "missing.json", "--bounds=-1,1"], in: folder), status: 66,
        "missing.json")
    }
  }

  @Test(arguments: [
    ([], "without '--estimator' expected '--bounds lo,hi'"), (["--bounds", "1,0"], "'1,0'"),
    (["--bounds=-1,1", "--target", "nix"], "'nix'"), (["--bounds=5,6"], "outside of the samples' bounds 5.0, 6.0"),
    (["--estimator", "nix"], "unknown estimator 'nix'"),
    (["--estimator", "exact", "--target", "gating-term"], "'--target' does not go with '--estimator'"),
    (["--estimator", "exact", "--bounds", "0,1"], "'--bounds' does not go with '--estimator'"),
    (["--bounds=-1,1", "--false-fail-rate", "0"], "'--false-fail-rate': expected a number"),
    (["--bounds=-1,1", "--false-pass-rate", "0.9"], "'--false-pass-rate': expected a number"),
    (["--bounds=-1,1", "--detectable-bias", "0"], "'--detectable-bias': expected a finite number above 0"),
    (["--bounds=-1,1", "--tolerance", "1"], "'--tolerance': expected a number from 0 to below 1"),
    (["--bounds=-1,1", "--tolerance", "0.5"], "is not above the tolerance"),
    (["--bounds=-1,1", "--max-samples", "0"], "'--max-samples': expected at least 1"),
    (["--bounds=-1,1", "--problem-name", "nix"], "expected one problem named 'nix'"),
    (["--bounds=-1,1", "--format", "csv"], "'csv'"),
  ])
  func wrongUsageIs64(arguments: [String], message: String) throws {
    try withProblem { folder in
      expectRefusal(try verify(arguments, "0,0,0\n", estimator: nil, in: folder), status: 64, message)
    }
  }

  /// 1e300 of a mean of 1e60 and more.
  @Test func aBiasThatOverflowsIsNoneToDetect() throws {
    try withProblem { folder in
      let large = """
        {"schema": "routegrad.problem/1", "name": "large", "kind": "mixture", "logits": [0, 0, 0],
         "expertOutputs": [[-1e60], [-8e59], [1e60]], "loss": {"type": "linear", "coefficients": [1000]}}
        """
      try Data(large.utf8).write(to: folder.appending(path: "p.json"))
      expectRefusal(
        try verify(["--detectable-bias", "1e300"], "0,0,0\n", estimator: "conventional", in: folder), status: 64,
        "a detectable bias of inf is not a finite number")
    }
  }

  @Test func standardInputIsReadOnce() throws {
    expectRefusal(
      try Tool.run(["verify", "-", "--problem", "-", "--bounds=-1,1"]), status: 64,
      "standard input ('-') can be read only once")
  }
}
