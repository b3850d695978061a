import CStandardLibrary
import Foundation
import Testing
import _TestSupport

/// `compare` on language models and translations.
struct CompareNetworksTests {
  private static let text = String(
    repeating: "the quick brown fox jumps over the lazy dog, and the cat sat. ", count: 30)

  private static let small = [
    "--layers", "2", "--width", "8", "--heads", "2", "--hidden", "8", "--experts", "3", "--context", "8", "--seeds",
    "2",
    "--tune-seeds", "1", "--evaluate-every", "10", "--warm-up", "5",
  ]
  private static let language = ["compare", "--task", "language-model", "--text", "text", "--batch", "2"] + small

  private static func inFolder(_ body: (URL) throws -> Void) throws {
    try Folder.temporary { folder in
      try Data(text.utf8).write(to: folder.appending(path: "text"))
      try body(folder)
    }
  }

  /// Every file below a folder, by name.
  private static func contents(_ folder: URL) throws -> [String: Data] {
    var contents: [String: Data] = [:]
    for file in FileManager.default.enumerator(atPath: folder.path)?.compactMap({ $0 as? String }) ?? [] {
      let url = folder.appending(path: file)
      if try url.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile ?? false {
        contents[file] = try Data(contentsOf: url)
      }
    }
    return contents
  }

  /// Tuned and trained on one machine, by shards in turn, with other threads: the same folder, and the same report of it.
  @Test func shardsMakeTheSameBytesAsOneMachine() throws {
    try Self.inFolder { folder in
      let arguments = Self.language + ["--steps", "20", "--routers", "switch,sparsemixer,none", "--audit-every", "20"]
      let whole = try Tool.run(arguments + ["--runs", "whole", "--threads", "1"], in: folder)
      #expect(whole.status == 0 && whole.error == "", "\(whole.error)")
      let parts = [
        "This task ", "sparsemixer: mean log loss at 0.001: ", "speed-up", "blocks.1",
        "language-model  20 steps, 2 seeds",
      ]
      for part in parts { #expect(whole.output.contains(part), "\(part)") }
      var outputs: [String] = []
      // A pass for each round of tuning, and one more, are enough.
      for index in (0..<24).map({ 2 - $0 % 2 }) where !(outputs.last?.contains("all is trained") ?? false) {
        let run = try Tool.run(arguments + ["--runs", "parts", "--shard", "\(index)/2", "--quiet"], in: folder)
        #expect(run.status == 0 && run.error == "" && run.lines.count == 1, "\(run.error)")
        outputs.append(run.output)
      }
      #expect(outputs[0].hasPrefix("parts: shard 2/2 trained ") && outputs[0].contains("of other shards are left"))
      let last = try Tool.run(arguments + ["--runs", "parts", "--shard", "1/2", "--quiet"], in: folder)
      #expect(last.output == "parts: shard 1/2 trained 0 runs; all is trained, see: routegrad compare --from parts\n")
      #expect(try Self.contents(folder.appending(path: "whole")) == Self.contents(folder.appending(path: "parts")))
      for name in ["whole", "parts"] {
        #expect(try Tool.run(["compare", "--from", name], in: folder).output == whole.output)
      }
      let status = try DecodedJSON(
        try Tool.run(["compare", "--status", "parts", "--format", "json"], in: folder).output)
      #expect(status["schema"].string == "routegrad.sweep-status/1" && status["complete"] == .bool(true))
      #expect(status["routers"][2]["router"].string == "none" && status["routers"][2]["runs"]["complete"].number == 2)
      let table = try Tool.run(["compare", "--status", "parts"], in: folder)
      #expect(table.output.contains("All is trained.") && table.lines.count == 6)
    }
  }

  /// What an interrupt comes upon is kept, step for step, and the same command comes to the same bytes; a kill loses what was
  /// not saved, and comes to them as well.
  @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
  func stoppedAndGoneOnWith(signal: Int32) throws {
    try Self.inFolder { folder in
      let arguments =
        Self.language + [
          "--steps", "200", "--routers", "switch,none", "--learning-rate", "0.01", "--threads", "2", "--quiet",
        ]
      let whole = try Tool.run(arguments + ["--runs", "whole"], in: folder)
      #expect(whole.status == 0, "\(whole.error)")
      let next = arguments + ["--runs", "stopped"]
      var stops = 0
      for moment: UInt32 in [30_000, 90_000, 150_000] {
        let error = folder.appending(path: "error")
        try Data().write(to: error)
        let process = try Tool.start(next, output: .file("/dev/null"), error: .file(error.path), in: folder)
        usleep(moment)
        kill(process, signal)
        let status = try Tool.wait(for: process)
        guard status != 0 else { break }
        stops += 1
        guard signal != SIGKILL else { continue }
        #expect(status == 128 + signal)
        let message = try String(contentsOf: error, encoding: .utf8)
        // Nothing can be said before the program knows its signals.
        #expect(
          message.isEmpty
            || message == "routegrad: interrupted; complete runs are in stopped, the same command goes on\n",
          "\(message)")
      }
      #expect(stops > 0)
      let end = try Tool.run(next, in: folder)
      #expect(end.status == 0 && end.output == whole.output, "\(end.error)")
      #expect(try Self.contents(folder.appending(path: "whole")) == Self.contents(folder.appending(path: "stopped")))
    }
  }

  /// A checkpoint that finds no room, and a second program in the same folder: both are refused, and nothing is lost.
  @Test func noRoomAndNoSecondProgram() throws {
    try Self.inFolder { folder in
      let arguments =
        Self.language + [
          "--steps", "200", "--routers", "switch", "--learning-rate", "0.01", "--threads", "1", "--quiet",
        ]
      let whole = try Tool.run(arguments + ["--runs", "whole"], in: folder)
      #expect(whole.status == 0, "\(whole.error)")
      func expectTheSame(_ name: String) throws {
        let end = try Tool.run(arguments + ["--runs", name], in: folder)
        #expect(end.status == 0 && end.output == whole.output, "\(end.error)")
        #expect(try Self.contents(folder.appending(path: "whole")) == Self.contents(folder.appending(path: name)))
      }
      // 3 KiB: more than manifests have, less than 20 lines of metrics.
      let full = try Tool.run(
        arguments + ["--runs", "full"], in: folder,
        under: #"exec 3>&1; { (ulimit -f 6; exec "$@") 2>&1 >&3 | cat >&2; } ; exit 73"#)
      #expect(full.error.contains("metrics.jsonl: cannot be written: File too large"), "\(full.error)")
      try expectTheSame("full")
      let processes = try (0..<2).map { k in
        let error = folder.appending(path: "error-\(k)").path
        try Data().write(to: URL(filePath: error))
        return try Tool.start(
          arguments + ["--runs", "shared"], output: .file("/dev/null"), error: .file(error), in: folder)
      }
      let ends = try processes.map { try Tool.wait(for: $0) }
      // The one that comes second is refused, unless the first is done by then.
      #expect(ends.contains(0) && ends.allSatisfy { $0 == 0 || $0 == 73 }, "\(ends)")
      for (k, end) in ends.enumerated() where end == 73 {
        let message = try String(contentsOf: folder.appending(path: "error-\(k)"), encoding: .utf8)
        #expect(
          message.contains("another program is training in this folder") || message.contains("holds a run already"),
          "\(message)")
      }
      try expectTheSame("shared")
    }
  }

  /// With the weights of the auxiliary losses in the grid; and the rates that come of it.
  @Test func translationsAndWeights() throws {
    try Self.inFolder { folder in
      let lines = String(repeating: "a b c\nb c\nc a a b\n", count: 4)
      for name in ["source", "target"] { try Data(lines.utf8).write(to: folder.appending(path: name)) }
      let arguments =
        [
          "compare", "--task", "translation", "--source", "source", "--target", "target", "--valid-source", "source",
          "--valid-target", "target", "--batch-tokens", "16", "--steps", "4", "--routers", "switch,gate-one",
        ]
        + Self.small + ["--audit-every", "0", "--rates", "rates.json", "--format", "json"]
      let tuned = try Tool.run(
        arguments + ["--tune", "--tune-load-balance", "0,0.5", "--tune-z-loss", "0.01"], in: folder)
      #expect(tuned.status == 0, "\(tuned.error)")
      let rates = try DecodedJSON(String(contentsOf: folder.appending(path: "rates.json"), encoding: .utf8))
      #expect(rates["model"].string == "translation" && rates["weights"]["gate-one"]["zLoss"].number == 0.01)
      let used = try DecodedJSON(try Tool.run(arguments, in: folder).output)
      let first = try DecodedJSON(tuned.output)
      #expect(used["routers"] == first["routers"] && first["notes"][0].string?.contains("z-loss 0.01") ?? false)
      let other = try Tool.run(
        ["compare", "--steps", "2", "--batch", "4", "--seeds", "1", "--audit-every", "0", "--routers", "switch"]
          + ["--rates", "rates.json"], in: folder)
      #expect(other.output.contains("The learning rates were tuned on translation,"), "\(other.error)")
    }
  }

  /// The corpus that ships with the program.
  @Test func madeCorpus() throws {
    let run = try Tool.run(
      [
        "compare", "--task", "translation", "--steps", "2", "--routers", "switch,none", "--learning-rate", "0.01",
        "--seeds", "1",
      ]
        + ["--layers", "2", "--width", "8", "--heads", "2", "--hidden", "8", "--experts", "2", "--audit-every", "0"])
    #expect(run.status == 0 && run.output.hasPrefix("translation  2 steps, 1 seed, against switch\n"), "\(run.error)")
    #expect(run.output.contains("one seed does not show: none "))
  }

  /// Experts of some routers cannot be tried one by one: they have the rest of the audit.
  @Test func auditsTryExpertsWhereTheyCan() throws {
    try Self.inFolder { folder in
      let run = try Tool.run(
        Self.language + [
          "--steps", "4", "--routers", "switch,gate-one", "--learning-rate", "0.01", "--audit-tokens", "1", "--format",
          "json",
        ], in: folder)
      #expect(run.status == 0, "\(run.error)")
      let routers = try DecodedJSON(run.output)["routers"]
      #expect(routers[0]["audit"]["layers"][0]["contrast"]["tokens"].number == 1)
      #expect(routers[1]["audit"]["layers"][0]["contrast"] == .null)
    }
  }

  @Test(arguments: [
    ([], 64, "'--text': expected a file"), (["--text", "missing"], 66, "missing: cannot be read"),
    (["--text", "empty"], 65, "empty"),
    (["--text", "text", "--context", "1024"], 65, "text: expected held-out data"),
    (["--text", "text", "--routers", "switch,exact"], 64, "'--routers': expected one that works at any depth"),
    (["--text", "text", "--context", "0"], 64, "'--context': expected a whole number"),
    (["--text", "text", "--held-out", "0"], 64, "'--held-out': expected"),
    (["--text", "text", "--tokens", "words"], 64, "'--tokens': expected bytes"),
    (["--text", "text", "--source", "text"], 64, "'--source' goes with '--task translation'"),
    (["--text", "text", "--shared", "0"], 64, "'--shared' goes with '--task mixture-regression'"),
    (["--text", "text", "--batch-tokens", "8"], 64, "'--batch-tokens' goes with"),
    (["--text", "text", "--tune-z-loss", "0,x"], 64, "'--tune-z-loss': expected different numbers"),
    (["--text", "text", "--tune-load-balance", "0,0"], 64, "'--tune-load-balance': expected different numbers"),
    (["--text", "text", "--learning-rate", "0.1", "--tune-z-loss", "0"], 64, "go with '--tune'"),
    (["--text", "text", "--shard", "1/2"], 64, "'--shard' goes with '--runs'"),
    (["--text", "text", "--shard", "0/2", "--runs", "runs"], 64, "'--shard': expected i/n"),
    (["--text", "text", "--shard", "3/2", "--runs", "runs"], 64, "'--shard': expected i/n"),
    (["--text", "text", "--shard", "1/2", "--runs", "runs", "--output", "o"], 64, "'--shard' makes no report"),
    (["--text", "text", "--audit-every", "0", "--audit-tokens", "-1"], 64, "'--audit-tokens': expected"),
    (
      ["--text", "text", "--seeds", "10000", "--tune-seeds", "10000"], 64,
      "'--seeds': expected a grid and seeds of at most 100000 runs"
    ),
    (["--status", "missing"], 66, "missing/sweep.json: cannot be read"),
    (["--status", "x", "--tune"], 64, "'--status' trains"),
    (["--text", "text", "--runs", "/proc/x"], 73, "/proc/x"),
  ])
  func mistakesAreOneLine(options: [String], status: Int32, part: String) throws {
    try Self.inFolder { folder in
      try Data().write(to: folder.appending(path: "empty"))
      let run = try Tool.run(["compare", "--task", "language-model", "--steps", "1"] + options, in: folder)
      expectRefusal(run, status: status, part)
      #expect(try Folder.names(in: folder) == ["empty", "text"])
    }
  }

  @Test(arguments: [
    (["--source", "text"], "go together"), (["--source", "text", "--target", "text"], "expected held-out sentences"),
    (["--batch", "3"], "'--batch' goes with"), (["--text", "text"], "'--text' goes with '--task language-model'"),
    (["--tokens", "whitespace"], "'--tokens': expected bytes"),
  ])
  func mistakesOfTranslationsAreOneLine(options: [String], part: String) throws {
    try Self.inFolder { folder in
      let run = try Tool.run(["compare", "--task", "translation", "--steps", "1"] + options, in: folder)
      expectRefusal(run, status: 64, part)
    }
  }

  /// Options of networks are refused, not ignored, elsewhere; and damage is said of the file that has it.
  @Test func whatDoesNotBelongIsRefused() throws {
    try Self.inFolder { folder in
      expectRefusal(
        try Tool.run(["compare", "--width", "8"], in: folder), status: 64, "'--width' goes with '--task language-model'"
      )
      let arguments =
        Self.language + ["--steps", "2", "--learning-rate", "0.01", "--routers", "switch", "--runs", "runs"]
      #expect(try Tool.run(arguments, in: folder).status == 0)
      expectRefusal(
        try Tool.run(arguments + ["--steps", "3"], in: folder), status: 64, "holds a run of another task or plan")
      try Data("{}".utf8).write(to: folder.appending(path: "runs/sweep.json"))
      for option in ["--from", "--status"] {
        expectRefusal(try Tool.run(["compare", option, "runs"], in: folder), status: 65, "runs/sweep.json: schema: ")
      }
      try Data((Self.text + "!").utf8).write(to: folder.appending(path: "text"))
      expectRefusal(try Tool.run(arguments, in: folder), status: 64, "holds a run of another task or plan")
    }
  }
}
