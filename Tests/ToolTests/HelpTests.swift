import RoutingReports
import Testing

struct HelpTests {
  @Test(arguments: [["--help"], ["-h"], ["help"], []])
  func rootHelpNamesEveryCommand(arguments: [String]) throws {
    let run = try Tool.run(arguments)
    #expect(run.status == 0)
    #expect(run.error == "")
    let commands = [
      "report", "outcomes", "order", "assess", "verify", "audit-layer", "estimators", "lint", "train", "compare",
      "translate",
    ]
    for command in commands {
      #expect(run.output.contains("\n  \(command) "))
    }
    #expect(run.output.contains("USAGE: routegrad"))
  }

  @Test(arguments: [
    (
      "report",
      [
        "--estimators", "--mask", "--threshold", "--target", "--covariance", "--method", "--samples",
        "--tolerance",
        "--format", "--output", "--seed", "--threads", "--quiet",
      ]
    ),
    ("outcomes", ["--estimator", "--problem", "--mask", "--threshold"]),
    ("order", ["--mask", "--threshold", "--format", "--output", "--threads", "--quiet"]),
    (
      "verify",
      [
        "--problem", "--problem-name", "--estimator", "--target", "--false-fail-rate", "--false-pass-rate",
        "--detectable-bias", "--tolerance", "--bounds", "--max-samples", "--mask", "--threshold", "--format",
        "--threads", "--quiet",
      ]
    ),
    (
      "assess",
      [
        "--problem", "--problem-name", "--target", "--draws", "--draws-of", "--estimators", "--mask", "--threshold",
        "--confidence",
        "--seed", "--max-samples", "--format", "--output", "--threads", "--quiet",
      ]
    ),
    (
      "audit-layer",
      [
        "--estimators", "--mask", "--threshold", "--target", "--gradients", "--format", "--output", "--threads",
        "--quiet",
      ]
    ),
    ("estimators", ["--format"]),
    ("translate", ["--input", "--reference", "--tokenize", "--beam", "--length-penalty", "--threads", "--quiet"]),
    (
      "compare",
      [
        "--task", "--shared", "--routers", "--seeds", "--first-seed", "--steps", "--batch", "--experts",
        "--load-balance",
        "--learning-rate", "--rates", "--tune", "--tune-seeds", "--audit-every", "--runs", "--from", "--baseline",
        "--text", "--source", "--valid-target", "--z-loss", "--tune-load-balance", "--tune-z-loss", "--shard",
        "--status",
        "--format",
        "--output",
        "--threads", "--quiet",
      ]
    ),
    ("lint", ["--experts", "--top-k", "--seed", "--timeout", "--format", "--threads", "--quiet"]),
  ])
  func commandHelpNamesEveryOption(command: String, options: [String]) throws {
    for arguments in [[command, "--help"], ["help", command]] {
      let run = try Tool.run(arguments)
      #expect(run.status == 0)
      #expect(run.error == "")
      for option in options { #expect(run.output.contains("  \(option) "), "\(option)") }
    }
  }

  @Test(arguments: [
    ("mixture-regression", ["--shared", "--experts", "--batch"]),
    ("mixture-classification", ["--experts", "--batch"]),
    (
      "language-model",
      ["--text", "--tokens", "--vocabulary", "--context", "--held-out", "--batch", "--width", "--audit-tokens"]
    ),
    (
      "translation",
      [
        "--source", "--target", "--valid-source", "--valid-target", "--tokens", "--vocabulary", "--context",
        "--batch-tokens", "--label-smoothing", "--bleu-sentences", "--beam", "--length-penalty", "--width", "--dropout",
        "--audit-tokens",
      ]
    ),
  ])
  func trainHelpNamesEveryOption(model: String, options: [String]) throws {
    let run = try Tool.run(["train", model, "--help"])
    #expect(run.status == 0 && run.error == "")
    let common = [
      "--output", "--router", "--seed", "--steps", "--learning-rate", "--schedule", "--warm-up", "--clip",
      "--evaluate-every", "--patience", "--audit-every", "--checkpoint-every", "--threads", "--quiet",
    ]
    for option in common + options { #expect(run.output.contains("  \(option) "), "\(option)") }
  }

  @Test func versionIsOneLine() throws {
    let run = try Tool.run(["--version"])
    #expect(run.status == 0)
    #expect(run.output == "\(routeGradVersion)\n")
  }

  @Test func verboseVersionNamesTheMatrixLibraries() throws {
    let run = try Tool.run(["--version", "--verbose"])
    #expect(run.status == 0 && run.error == "")
    #expect(run.lines.count == 3 && run.lines[0] == "routegrad \(routeGradVersion)")
    #expect(
      run.lines[1].hasPrefix("matrix products, Float32: ") && run.lines[2].hasPrefix("matrix products, Float64: "))
  }

  @Test func theFastKernelsNeedNoSettingAndAnInheritedOneDoesNotHideThem() throws {
    func kernels(_ environment: [String: String]) throws -> String {
      String(try Tool.run(["--version", "--verbose"], environment: environment).lines[2])
    }
    let found = try kernels(["OPENBLAS_CORETYPE": "Prescott"])
    #expect(!found.contains("Prescott"))
    if found.contains("OpenBLAS"), found.contains("SkylakeX") || found.contains("Cooperlake") {
      #expect(try kernels(["ROUTEGRAD_OPENBLAS_CORETYPE": "Haswell"]).contains("Haswell kernels"))
    }
  }
}
