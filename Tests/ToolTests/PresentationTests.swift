import Foundation
import Testing
import _TestSupport

/// The formats of reports.
enum OutputFormats {
  static let all = ["table", "json", "csv", "markdown"]
}

/// What people read fits 80 columns and the characters of their locale.
struct PresentationTests {
  /// A mixture with a long name, many experts and numbers of any size.
  private static let wide: String = {
    let experts = 40
    let logits = (0..<experts).map { "\(sin(Double($0)) * 3)" }.joined(separator: ", ")
    let outputs = (0..<experts).map { "[\(cos(Double($0)) * 1e-9), \(Double($0) * 1.2345678901234567)]" }
    let name = "a name that goes on and on — ∇‖θ‖ 名前 — " + String(repeating: "and on ", count: 20)
    return """
      {"schema": "routegrad.problem/1", "name": "\(name)", "kind": "mixture", "logits": [\(logits)],
       "expertOutputs": [\(outputs.joined(separator: ", "))],
       "loss": {"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]}}
      """
  }()

  private static let specifications =
    "quadrature:rule=gauss-legendre,points=3,evaluation=one-node,reinforce:baseline=optimal,"
    + "reinmax:tau=1.2345678901234567,sparsemixer-v2-top2:reference-constants=true,exact"

  static let commands: [[String]] = [
    ["report"], ["report", "--details"], ["report", "-"], ["report", "-", "--estimators", specifications],
    ["report", "-", "--method", "monte-carlo", "--samples", "50"], ["order", "-"],
    ["estimators"], ["--version", "--verbose"], ["--help"], ["report", "--help"], ["outcomes", "--help"],
    ["order", "--help"], ["assess", "--help"], ["verify", "--help"], ["audit-layer", "--help"],
    ["estimators", "--help"],
    ["lint", "--help"], ["train", "--help"], ["train", "resume", "--help"], ["train", "language-model", "--help"],
    ["train", "translation", "--help"], ["train", "mixture-regression", "--help"],
    ["train", "mixture-classification", "--help"], ["compare", "--help"], ["translate", "--help"],
  ]

  @Test(arguments: commands)
  func linesFit(command: [String]) throws {
    let run = try Tool.run(command, input: Self.wide)
    #expect(run.status == 0, "\(run.error)")
    for line in run.lines { #expect(Self.width(of: line) <= 80, "\(line)") }
    let plain = try Tool.run(command, input: Self.wide, environment: ["LC_ALL": "C"])
    #expect(plain.status == 0 && plain.output.utf8.allSatisfy { $0 < 0x80 })
    for line in plain.lines { #expect(line.count <= 80, "\(line)") }
  }

  @Test(arguments: ["C", "C.UTF-8"], ["", ", \"probability\": 0.5"])
  func assessmentsFit(locale: String, probability: String) throws {
    try Folder.temporary { folder in
      try Data(Self.wide.utf8).write(to: folder.appending(path: "p.json"))
      let zeros = Array(repeating: "0", count: 39).joined(separator: ", ")
      let lines = ["1.2345e-100", "-3e5"].map { "{\"gradient\": [\($0), \(zeros)]\(probability)}\n" }.joined()
      let run = try Tool.run(
        ["assess", "-", "--problem", "p.json", "--estimators", Self.specifications + ",gumbel-rao"],
        input: lines, in: folder, environment: ["LC_ALL": locale])
      #expect(run.status == 0, "\(run.error)")
      for line in run.lines { #expect(Self.width(of: line) <= 80, "\(line)") }
      if locale == "C" { #expect(run.output.utf8.allSatisfy { $0 < 0x80 }) }
    }
  }

  @Test func verdictsFit() throws {
    try Folder.temporary { folder in
      try Data(Self.wide.utf8).write(to: folder.appending(path: "p.json"))
      let zeros = Array(repeating: "0", count: 39).joined(separator: ", ")
      for samples in ["1e300, \(zeros)", "0, \(zeros)"] {
        for locale in ["C", "C.UTF-8"] {
          let run = try Tool.run(
            [
              "verify", "-", "--problem", "p.json", "--estimator",
              "quadrature:rule=gauss-legendre,points=3,evaluation=one-node",
            ],
            input: "{\"gradient\": [\(samples)]}\n", in: folder, environment: ["LC_ALL": locale])
          #expect([1, 2].contains(run.status), "\(run.error)")
          for line in run.lines { #expect(Self.width(of: line) <= 80, "\(line)") }
          if locale == "C" { #expect(run.output.utf8.allSatisfy { $0 < 0x80 }) }
        }
      }
    }
  }

  /// What is said of a layer, of trainings, of a comparison and of a translation.
  @Test func layersAndRunsFit() throws {
    func expectFit(_ run: Tool.Run, sourceLocation: SourceLocation = #_sourceLocation) {
      #expect(run.status == 0, "\(run.error)", sourceLocation: sourceLocation)
      for line in run.lines { #expect(line.count <= 80, "\(line)", sourceLocation: sourceLocation) }
      #expect(run.output.utf8.allSatisfy { $0 < 0x80 }, sourceLocation: sourceLocation)
    }
    try Folder.temporary { folder in
      for (name, text) in ["s": "a b c\nb a\nc\n", "t": "x y\ny x\nx\n"] {
        try Data(text.utf8).write(to: folder.appending(path: name))
      }
      func run(_ arguments: [String]) throws -> Tool.Run {
        try Tool.run(arguments, in: folder, environment: ["LC_ALL": "C"])
      }
      let layer = Fixtures.root.appending(path: "layers/switch-block.safetensors").path
      expectFit(try run(["audit-layer", layer, "--mask", "reference-code", "--estimators", Self.specifications]))
      let sizes = [
        "--width", "8", "--heads", "2", "--layers", "2", "--hidden", "8", "--context", "8", "--steps", "2",
        "--evaluate-every", "1",
      ]
      expectFit(
        try run([
          "train", "mixture-regression", "--router", "sparsemixer", "--steps", "2", "--audit-every", "1", "--batch",
          "16",
          "--output", "mixture",
        ]))
      expectFit(try run(["train", "language-model", "--text", "s", "--batch", "2", "--output", "language"] + sizes))
      expectFit(
        try run(["train", "translation", "--source", "s", "--target", "t", "--output", "translation"] + sizes))
      expectFit(try run(["translate", "translation", "--input", "s"]))
      expectFit(
        try run([
          "compare", "--routers", "masked-switch:jitter=none,sparsemixer-v2,exact", "--seeds", "2", "--steps", "6",
          "--batch", "8", "--audit-every", "6", "--learning-rate", "0.0012345678901234567",
        ]))
    }
  }

  /// LC_ALL counts before LC_CTYPE, and that before LANG.
  @Test(arguments: [
    (["LC_ALL": "C", "LC_CTYPE": "C.UTF-8", "LANG": "C.UTF-8"], false),
    (["LC_ALL": "", "LC_CTYPE": "C", "LANG": "C.UTF-8"], false),
    (["LC_ALL": "", "LC_CTYPE": "C.UTF-8", "LANG": "C"], true),
    (["LC_ALL": "", "LC_CTYPE": "", "LANG": "C.UTF-8"], true),
    (["LC_ALL": "", "LC_CTYPE": "", "LANG": ""], false), (["LC_ALL": "en_XX.UTF-8"], true),
  ])
  func theLocaleDecides(environment: [String: String], isUTF8: Bool) throws {
    let run = try Tool.run(["report", "-"], input: Samples.categorical, environment: environment)
    #expect(run.output.contains("‖∇‖") == isUTF8)
    #expect(run.output.contains("||grad||") == !isUTF8)
    let refusal = try Tool.run(
      ["report", "-", "--estimators", "ünknown"], input: Samples.categorical, environment: environment)
    #expect(refusal.status == 64 && refusal.error.contains("ü") == isUTF8, "\(refusal.error)")
  }

  /// Files for programs are UTF-8 whatever the locale.
  @Test(arguments: ["json", "csv", "markdown"])
  func filesForProgramsStay(format: String) throws {
    let arguments = ["report", "-", "--format", format]
    let plain = try Tool.run(arguments, input: Self.wide, environment: ["LC_ALL": "C"])
    #expect(try Tool.run(arguments, input: Self.wide).output == plain.output)
    #expect(plain.output.contains("名前"))
  }

  private static func width(of line: Substring) -> Int {
    line.unicodeScalars.reduce(0) { $0 + ((0x2E80...0xA4CF).contains($1.value) ? 2 : $1.value == 0x302 ? 0 : 1) }
  }
}

/// Scripts that complete commands in shells.
struct CompletionTests {
  @Test(arguments: ["bash", "zsh", "fish"])
  func scriptsHoldWhatCanBeWritten(shell: String) throws {
    let run = try Tool.run(["--generate-completion-script", shell])
    #expect(run.status == 0 && run.error == "")
    for word in [
      "sparsemixer-v2-top2", "gumbel-rao", "reference-code", "routing-term", "markdown", "monte-carlo", "audit-layer",
      "null-contrast",
    ] {
      #expect(run.output.contains(word), "\(word)")
    }
  }

  @Test func bashReadsItsScript() throws {
    try Folder.temporary { folder in
      let script = folder.appending(path: "routegrad.bash")
      try Data(try Tool.run(["--generate-completion-script", "bash"]).output.utf8).write(to: script)
      let bash = Process()
      bash.executableURL = URL(filePath: "/bin/bash")
      bash.arguments = ["-n", script.path]
      try bash.run()
      bash.waitUntilExit()
      #expect(bash.terminationStatus == 0)
    }
  }
}
