import CStandardLibrary
import Foundation
import Testing

struct TrainCommandTests {
  private static let last = "checkpoint-00000120.safetensors"

  private static func begin(_ output: String) -> [String] {
    [
      "train", "mixture-regression", "--output", output, "--batch", "16", "--steps", "120", "--evaluate-every", "10",
      "--checkpoint-every", "5", "--router", "sparsemixer", "--quiet",
    ]
  }

  private static func start(_ arguments: [String], in folder: URL) throws -> pid_t {
    try Tool.start(arguments, output: .file("/dev/null"), error: .file("/dev/null"), in: folder)
  }

  /// Killed at some moments, among them before there is anything to go on from, a run comes to the same bytes.
  @Test func killedRunsResumeToTheSameBytes() throws {
    try Folder.temporary { folder in
      let whole = try Tool.run(Self.begin("whole"), in: folder)
      #expect(whole.status == 0 && whole.error == "", "\(whole.error)")
      #expect(whole.output.hasPrefix("whole: 120 steps, held-out loss 0."))
      var hasBegun: Bool {
        FileManager.default.fileExists(atPath: folder.appending(path: "killed/manifest.json").path)
      }
      var next: [String] { hasBegun ? ["train", "resume", "killed", "--quiet"] : Self.begin("killed") }
      for moment: UInt32 in [150_000, 20_000, 90_000, 40_000, 250_000] {
        let process = try Self.start(next, in: folder)
        usleep(moment)
        kill(process, SIGKILL)
        _ = try Tool.wait(for: process)
      }
      let end = try Tool.run(next, in: folder)
      #expect(end.status == 0, "\(end.error)")
      for file in [Self.last, "metrics.jsonl", "manifest.json"] {
        #expect(
          try Data(contentsOf: folder.appending(path: "killed/\(file)"))
            == Data(contentsOf: folder.appending(path: "whole/\(file)")), "\(file)")
      }
    }
  }

  @Test func anInterruptSavesAndSaysHowToGoOn() throws {
    try Folder.temporary { folder in
      let error = folder.appending(path: "error")
      try Data().write(to: error)
      let process = try Tool.start(
        ["train", "mixture-regression", "--output", "run", "--steps", "1000000", "--batch", "16"],
        output: .file("/dev/null"), error: .file(error.path), in: folder)
      while !FileManager.default.fileExists(atPath: folder.appending(path: "run/metrics.jsonl").path) { usleep(1000) }
      usleep(200_000)
      kill(process, SIGINT)
      #expect(try Tool.wait(for: process) == 130)
      let message = try String(contentsOf: error, encoding: .utf8)
      #expect(message.hasPrefix("routegrad: interrupted and saved after "))
      #expect(message.hasSuffix("steps; go on with: routegrad train resume run\n"))
      #expect(try Folder.names(in: folder.appending(path: "run")).contains { $0.hasPrefix("checkpoint-") })
    }
  }

  private static let small = [
    "--width", "8", "--heads", "2", "--layers", "2", "--hidden", "8", "--context", "8", "--batch", "2", "--steps", "3",
  ]

  @Test(arguments: ["bytes", "whitespace"])
  func languageModelsTrainAndResume(tokens: String) throws {
    try Folder.temporary { folder in
      let text = String(repeating: "the quick brown fox jumps over the lazy dög\n", count: 20)
      try Data(text.utf8).write(to: folder.appending(path: "text"))
      let run = try Tool.run(
        ["train", "language-model", "--text", "text", "--tokens", tokens, "--output", "run"] + Self.small, in: folder)
      #expect(run.status == 0 && run.output.hasPrefix("run: 3 steps, held-out loss "), "\(run.error)")
      #expect(try Tool.run(["train", "resume", "run"], in: folder).output == run.output)
      try Data((text + "!").utf8).write(to: folder.appending(path: "text"))
      expectRefusal(
        try Tool.run(["train", "resume", "run"], in: folder), status: 65, "text: ", "the file that the run began with")
    }
  }

  @Test(arguments: [
    ("", ["--tokens", "bytes"], 65, ["text: ", "the file is empty"]),
    ("", ["--tokens", "whitespace"], 65, ["text: ", "the file is empty"]),
    ("short", [], 65, ["text: ", "at least 9 tokens to train on, got 5"]),
    ("a b c d\n", ["--tokens", "whitespace", "--vocabulary", "3"], 65, ["at most 3 different words, got 5"]),
    ("a b c d e f g h i j\n", ["--router", "exact"], 64, ["works at any depth"]),
    ("a b c d e f g h i j\n", ["--router", "sparsmixer"], 64, ["did you mean 'sparsemixer'?"]),
    ("a b c d e f g h i j\n", ["--heads", "3"], 64, ["a width that the 3 heads divide"]),
    (
      "a b c d e f g h i j\n", ["--learning-rate", "0"], 64,
      ["'--learning-rate': expected a finite number above 0, got 0"]
    ),
    ("a b c d e f g h i j\n", ["--held-out", "100"], 64, ["0 to 99 percent"]),
  ])
  func badTextsAndSettingsAreRefused(text: String, options: [String], status: Int32, parts: [String]) throws {
    try Folder.temporary { folder in
      try Data(text.utf8).write(to: folder.appending(path: "text"))
      let run = try Tool.run(
        ["train", "language-model", "--text", "text", "--output", "run"] + Self.small + options, in: folder)
      expectRefusal(run, status: status)
      for part in parts { #expect(run.error.contains(part), "\(run.error)") }
      #expect(try Folder.names(in: folder) == ["text"])
    }
  }

  @Test func textsThatAreNotUTF8AreRefusedAsWords() throws {
    try Folder.temporary { folder in
      try Data(Array("fine\nbad ".utf8) + [0xC3, 0x28, 0x0A]).write(to: folder.appending(path: "text"))
      expectRefusal(
        try Tool.run(
          ["train", "language-model", "--text", "text", "--tokens", "whitespace", "--output", "run"] + Self.small,
          in: folder), status: 65, "text: line 2: expected UTF-8")
    }
  }

  @Test func foldersAndFilesThatCannotBeUsed() throws {
    try Folder.temporary { folder in
      try Data().write(to: folder.appending(path: "file"))
      let train = ["train", "mixture-regression", "--steps", "1", "--batch", "4", "--output"]
      expectRefusal(try Tool.run(train + ["file"], in: folder), status: 73, "file: cannot be written")
      expectRefusal(
        try Tool.run(train + ["file/run"], in: folder), status: 73, "file/run: cannot be written: Not a directory")
      expectRefusal(try Tool.run(train + [""], in: folder), status: 64, "'--output': expected the name of a folder")
      expectRefusal(try Tool.run(train + ["/proc/run"], in: folder), status: 73, "/proc/run: cannot be written")
      expectRefusal(try Tool.run(["train", "resume", "missing"], in: folder), status: 66, "missing/manifest.json")
      expectRefusal(
        try Tool.run(["train", "language-model", "--text", "missing", "--output", "run"], in: folder), status: 66,
        "missing: cannot be read: No such file")
      #expect(try Tool.run(train + ["run"], in: folder).status == 0)
      expectRefusal(try Tool.run(train + ["run"], in: folder), status: 73, "holds a run already", "train resume run")
      let checkpoint = folder.appending(path: "run/checkpoint-00000001.safetensors")
      try Data(contentsOf: checkpoint).dropLast(100).write(to: checkpoint)
      expectRefusal(
        try Tool.run(["train", "resume", "run"], in: folder), status: 65, "checkpoint-00000001.safetensors: damaged",
        "there is none before it")
    }
  }

  @Test func divergedRunsEndWithAnError() throws {
    try Folder.temporary { folder in
      expectRefusal(
        try Tool.run(
          [
            "train", "mixture-regression", "--steps", "30", "--batch", "4", "--learning-rate", "1e30", "--output",
            "run",
          ],
          in: folder), status: 65, "the loss is not finite any more")
    }
  }

  // MARK: - Audits of networks

  private static func audited(_ text: String, in folder: URL) throws -> [String] {
    try Data(String(repeating: "the quick brown fox jumps over the lazy dog\n", count: 20).utf8)
      .write(to: folder.appending(path: text))
    return ["train", "language-model", "--text", text] + small
  }

  @Test(arguments: ["switch", "sparsemixer:mask=none"])
  func auditsOfNetworksAreSaidAtTheEnd(router: String) throws {
    try Folder.temporary { folder in
      let command = try Self.audited("text", in: folder) + ["--router", router, "--experts-every", "1"]
      let run = try Tool.run(
        command + ["--output", "one", "--audit-every", "2", "--audit-tokens", "3", "--threads", "1"], in: folder)
      let passes = router == "switch" ? 54 : 129
      #expect(
        run.error.contains(
          "routegrad: each of 2 audits tries 8 experts for 3 tokens in 2 layers: at most \(passes) forward and backward passes"
        ),
        "\(run.error)")
      #expect(run.status == 0 && run.lines.count == 10, "\(run.output)")
      #expect(run.lines.allSatisfy { $0.count <= 80 })
      #expect(run.lines[1].hasPrefix("The router's gradient in training against dense back-propagation"))
      #expect(run.lines[3].hasPrefix("  blocks.0") && run.lines[4].hasPrefix("  blocks.1"))
      // The same whatever the number of threads, and at a resumed end.
      let quiet = try Tool.run(
        command + ["--output", "two", "--audit-every", "2", "--audit-tokens", "3", "--threads", "3", "--quiet"],
        in: folder)
      #expect(quiet.error == "" && quiet.output == "two" + run.output.dropFirst(3))
      #expect(try Tool.run(["train", "resume", "one"], in: folder).output == run.output)
      let (one, two) = (folder.appending(path: "one/metrics.jsonl"), folder.appending(path: "two/metrics.jsonl"))
      #expect(try Data(contentsOf: one) == Data(contentsOf: two))
      // Runs with and without audits can be compared.
      #expect(
        try Tool.run(command + ["--output", "three", "--quiet", "--seed", "1"], in: folder).status == 0)
      let compared = try Tool.run(["compare", "--from", "."], in: folder)
      expectRefusal(compared, status: 65, "expected one run of")
      try FileManager.default.removeItem(at: folder.appending(path: "two"))
      for format in ["table", "json", "csv", "markdown"] {
        let table = try Tool.run(["compare", "--from", ".", "--format", format], in: folder)
        #expect(table.status == 0, "\(table.error)")
        switch format {
        case "table":
          #expect(table.output.contains("blocks.1") && table.output.contains("unseen"))
          #expect(table.lines.allSatisfy { $0.count <= 80 })
        case "json": #expect(table.output.contains("\"target\": \"dense-backward\""))
        default: break
        }
      }
    }
  }

  @Test(arguments: [
    (["--audit-tokens", "3"], "'--audit-tokens': expected 0 without audits ('--audit-every'), got 3"),
    (["--audit-every", "1", "--audit-tokens", "-1"], "'--audit-tokens': expected a whole number from 0 to"),
    (["--audit-every", "0"], "'--audit-every': expected a whole number from 1 to"),
    (
      ["--audit-every", "1", "--audit-tokens", "3", "--router", "gshard"],
      "'--audit-tokens': expected 0 with 'gshard', whose experts cannot be tried one by one, got 3"
    ),
    (
      ["--audit-every", "1", "--audit-tokens", "3", "--experts-every", "0"],
      "'--audit-tokens': expected 0 without a Switch layer ('--experts-every 0'), got 3"
    ),
  ])
  func auditsThatMakeNoSenseAreRefused(options: [String], message: String) throws {
    try Folder.temporary { folder in
      let run = try Tool.run(try Self.audited("text", in: folder) + ["--output", "run"] + options, in: folder)
      expectRefusal(run, status: 64, message)
      #expect(try Folder.names(in: folder) == ["text"])
      #expect(
        try Tool.run(
          ["train", "mixture-regression", "--output", "run", "--audit-every", "1", "--audit-tokens", "1"], in: folder
        ).status == 64)
    }
  }

  /// Whatever an interrupt comes in the middle of (here it is nearly always an audit), what is resumed comes to the same bytes.
  @Test(arguments: [
    ["language-model", "--text", "text", "--router", "sparsemixer:mask=none", "--audit-tokens", "8"] + small,
    ["mixture-regression", "--experts", "24", "--router", "null-contrast", "--batch", "8", "--steps", "2"],
  ])
  func auditsAreInterrupted(command: [String]) throws {
    try Folder.temporary { folder in
      _ = try Self.audited("text", in: folder)
      let command = ["train"] + command + ["--audit-every", "1", "--quiet", "--threads", "1", "--output"]
      #expect(try Tool.run(command + ["whole"], in: folder).status == 0)
      var isFirst = true
      var interrupts = 0
      for moment: UInt32 in [60_000, 150_000, 90_000] {
        let error = folder.appending(path: "error")
        try Data().write(to: error)
        let process = try Tool.start(
          isFirst ? command + ["run"] : ["train", "resume", "run", "--quiet", "--threads", "1"],
          output: .file("/dev/null"), error: .file(error.path), in: folder)
        while !FileManager.default.fileExists(atPath: folder.appending(path: "run/metrics.jsonl").path) { usleep(1000) }
        usleep(moment)
        kill(process, SIGINT)
        let status = try Tool.wait(for: process)
        let message = try String(contentsOf: error, encoding: .utf8)
        #expect(status == 130 || status == 0, "\(message)")
        interrupts += status == 130 ? 1 : 0
        isFirst = false
      }
      #expect(interrupts > 0)
      #expect(try Tool.run(["train", "resume", "run", "--quiet"], in: folder).status == 0)
      for file in try Folder.names(in: folder.appending(path: "whole")) where file == "metrics.jsonl" {
        #expect(
          try Data(contentsOf: folder.appending(path: "run/\(file)"))
            == Data(contentsOf: folder.appending(path: "whole/\(file)")), "\(file)")
      }
    }
  }
}
