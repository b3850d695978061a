import Foundation
import Testing

/// `routegrad train translation` and `routegrad translate` as a user runs them.
struct TranslationCommandTests {
  private static let small = [
    "--width", "16", "--heads", "2", "--layers", "2", "--hidden", "16", "--experts", "2", "--context", "16",
    "--batch-tokens", "64", "--steps", "3", "--evaluate-every", "3", "--threads", "1",
  ]

  private static func train(_ options: [String], in folder: URL) throws -> Tool.Run {
    try Tool.run(["train", "translation", "--output", "run"] + options + small, in: folder)
  }

  private static func write(_ files: [String: String], in folder: URL) throws {
    for (name, text) in files { try Data(text.utf8).write(to: folder.appending(path: name)) }
  }

  @Test func trainsAndTranslatesInTheInputsOrder() throws {
    try Folder.temporary { folder in
      try Self.write(
        ["s": "a b c\n\nb a\nc a a a a a a a a a a a a a a a a a\n", "t": "x@@ y\nz\ny x\nx\n"], in: folder)
      let run = try Self.train(
        ["--source", "s", "--target", "t", "--valid-source", "s", "--valid-target", "t", "--bleu-sentences", "2"],
        in: folder)
      #expect(run.status == 0, "\(run.error)")
      #expect(run.output.hasPrefix("run: 3 steps, held-out loss "))
      #expect(
        run.error.contains(
          "vocabulary 9; training: 2 of 4 pairs (left out: 1 empty, 1 too long), 7 + 6 tokens, 0 unknown; held out: 2"))
      let metrics = try String(contentsOf: folder.appending(path: "run/metrics.jsonl"), encoding: .utf8)
      #expect(metrics.contains("\"bleu\": "))
      #expect(try String(contentsOf: folder.appending(path: "run/vocabulary.txt"), encoding: .utf8).hasPrefix("a\n"))

      // The training files are not needed any more.
      for name in ["s", "t"] { try FileManager.default.removeItem(at: folder.appending(path: name)) }
      let input = "a b\n\nq \(String(repeating: "c ", count: 20))\n"
      let one = try Tool.run(["translate", "run", "--threads", "1"], input: input, in: folder)
      #expect(one.status == 0, "\(one.error)")
      #expect(one.error == "routegrad: 1 lines cut off at the context, 1 unknown words\n")
      let lines = one.output.split(separator: "\n", omittingEmptySubsequences: false)
      #expect(lines.count == 4 && lines[1].isEmpty && lines[3].isEmpty)
      let two = try Tool.run(["translate", "run", "--threads", "2", "--quiet"], input: input, in: folder)
      #expect(two.output == one.output)
      #expect(two.error == "")
      let alone = try Tool.run(["translate", "run/checkpoint-00000003.safetensors"], input: "a b", in: folder)
      #expect(alone.output == lines[0] + "\n")
      try Self.write(["r": one.output], in: folder)
      let judged = try Tool.run(["translate", "run", "--reference", "r", "--quiet"], input: input, in: folder)
      #expect(judged.error.hasPrefix("BLEU = "))
    }
  }

  @Test(
    arguments: [
      (["s": "a\nb\n", "t": "x\n"], 65, "s, t: expected as many lines in both, got 2 and 1"),
      (["s": "", "t": "x\n"], 65, "s: expected at least one line, the file is empty"),
      (["s": "\n", "t": "x\n"], 65, "s, t: expected a pair of lines with words on both sides"),
      (["t": "x\n"], 66, "s: cannot be read: No such file or directory"),
    ] as [([String: String], Int32, String)])
  func wrongFilesAreNamed(files: [String: String], status: Int32, message: String) throws {
    try Folder.temporary { folder in
      try Self.write(files, in: folder)
      let run = try Self.train(["--source", "s", "--target", "t"], in: folder)
      #expect(run.status == status)
      #expect(run.error.hasPrefix("routegrad: \(message)"), "\(run.error)")
      #expect(run.error.filter { $0 == "\n" }.count == 1)
      #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "run").path))
    }
  }

  @Test func bytesThatAreNoTextAreNamed() throws {
    try Folder.temporary { folder in
      try Self.write(["t": "x\ny\n"], in: folder)
      try Data([0x61, 0x0A, 0x62, 0xFF, 0x0A]).write(to: folder.appending(path: "s"))
      let run = try Self.train(["--source", "s", "--target", "t"], in: folder)
      #expect(run.status == 65)
      #expect(run.error == "routegrad: s: line 2: expected UTF-8, byte 2 is 0xff\n")
    }
  }

  @Test(arguments: [
    (["--source", "s"], "'--source' and '--target'"), (["--valid-source", "s", "--valid-target", "t"], "made corpus"),
    (["--batch-tokens", "4"], "at least the 16 tokens of the context, got 4"), (["--beam", "0"], "1 to 1024"),
    (["--length-penalty", "-1"], "at least 0"), (["--vocabulary", "2"], "from 3 to"),
    (["--label-smoothing", "1"], "from 0 to below 1"), (["--router", "exact"], "works at any depth"),
    (["--heads", "3"], "heads"), (["--batch-tokens", "99999999"], "from 2 to 1048576"),
    (["--width", "999999999"], "from 1 to 65536"),
  ])
  func wrongUsageIsRefused(options: [String], message: String) throws {
    try Folder.temporary { folder in
      // Instead of the small size of that name.
      var small = Self.small
      if let k = small.firstIndex(of: options[0]) { small.removeSubrange(k...k + 1) }
      let run = try Tool.run(["train", "translation", "--output", "run", "--quiet"] + small + options, in: folder)
      #expect(run.status == 64, "\(run.error)")
      #expect(run.error.contains(message), "\(run.error)")
      #expect(run.error.filter { $0 == "\n" }.count == 1)
    }
  }

  @Test func whatCannotTranslateIsRefused() throws {
    try Folder.temporary { folder in
      let missing = try Tool.run(["translate", "run"], input: "a", in: folder)
      #expect(missing.status == 66 && missing.error.contains("run/manifest.json: cannot be read"))
      let other = try Tool.run(
        ["train", "mixture-regression", "--output", "other", "--steps", "1", "--quiet", "--threads", "1"], in: folder)
      #expect(other.status == 0, "\(other.error)")
      let wrong = try Tool.run(["translate", "other"], input: "a", in: folder)
      #expect(
        wrong.status == 65 && wrong.error.contains("expected a run of translation, got one of mixture-regression"))
      #expect(try Self.train(["--quiet"], in: folder).status == 0)
      let empty = try Tool.run(["translate", "run"], input: "", in: folder)
      #expect(empty.status == 65)
      #expect(empty.error == "routegrad: standard input: expected at least one line, the file is empty\n")
      let invalid = try Tool.run(["translate", "run"], input: Data([0x61, 0x0A, 0xC3]), in: folder)
      #expect(invalid.status == 65)
      #expect(invalid.error == "routegrad: standard input: line 2: expected UTF-8, byte 1 is 0xc3\n")
    }
  }
}
