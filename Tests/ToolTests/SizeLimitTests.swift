import Foundation
import Testing
import _TestSupport

/// Files that may not grow: a write that fails, not the end by a signal.
struct SizeLimitTests {
  private static let layer = Fixtures.root.appending(path: "layers/switch-block.safetensors").path
  private static let train = ["train", "mixture-regression", "--steps", "30", "--batch", "4"]

  @Test(arguments: [
    ["report", "--format", "json"], ["report", "--format", "json", "--output", "out"], ["order"], ["estimators"],
    ["order", "--output", "out"], ["outcomes", Samples.shipped("categorical-8.json"), "--estimator", "reinmax"],
    ["--help"], train + ["--output", "run"],
    ["compare", "--seeds", "1", "--steps", "30", "--routers", "switch", "--runs", "run"],
    ["compare", "--seeds", "1", "--steps", "30", "--routers", "switch"], ["audit-layer", layer],
    ["audit-layer", layer, "--gradients", "out"], ["vectors", "switch"], ["vectors", "switch", "--output", "out"],
    ["routers", "show", "switch"],
  ])
  func everyOutputSaysSo(arguments: [String]) throws {
    try Folder.temporary { folder in
      // 0 for the program alone: the shell's own files are open already. Standard error is a pipe, which has no such limit.
      let run = try Tool.run(
        arguments, in: folder, environment: ["TMPDIR": folder.path],
        under: #"exec 3>&1; { (ulimit -f 0; exec "$@") 2>&1 >&3 | cat >&2; } ; exit 73"#)
      #expect(
        run.error.hasPrefix("routegrad: ") && run.error.contains("cannot be written: File too large"), "\(run.error)")
      #expect(run.error.split(separator: "\n").count == 1, "\(run.error)")
      #expect(run.output == "")
      let names = try Folder.names(in: folder)
      #expect(names.allSatisfy { $0 == "run" }, "\(names)")
    }
  }

  /// Verdicts, and translations of a run that is there.
  @Test func verdictsAndTranslationsSaySo() throws {
    try Folder.temporary { folder in
      try Data(Samples.mixture.utf8).write(to: folder.appending(path: "p.json"))
      try Data("0.1,-0.2,0.1\n".utf8).write(to: folder.appending(path: "samples.csv"))
      for (name, text) in ["s": "a b\nb a\n", "t": "x y\ny x\n"] {
        try Data(text.utf8).write(to: folder.appending(path: name))
      }
      let training = try Tool.run(
        [
          "train", "translation", "--source", "s", "--target", "t", "--width", "8", "--heads", "2", "--layers", "2",
          "--hidden", "8", "--context", "8", "--steps", "1", "--output", "run",
        ], in: folder)
      #expect(training.status == 0, "\(training.error)")
      for arguments in [
        ["verify", "samples.csv", "--problem", "p.json", "--estimator", "exact"], ["translate", "run", "--input", "s"],
      ] {
        let run = try Tool.run(
          arguments, in: folder, under: #"exec 3>&1; { (ulimit -f 0; exec "$@") 2>&1 >&3 | cat >&2; } ; exit 73"#)
        #expect(run.error == "routegrad: standard output: cannot be written: File too large\n")
        #expect(run.output == "")
        let status = try Tool.run(arguments, in: folder, under: #"ulimit -f 0; exec "$@" 2> /dev/null"#)
        #expect(status.status == 73)
      }
    }
  }

  @Test func theStatusIsThatOfAnOutput() throws {
    try Folder.temporary { folder in
      for arguments in [["report", "--output", "out"], Self.train + ["--output", "run"]] {
        let run = try Tool.run(arguments, in: folder, under: #"ulimit -f 0; exec "$@" 2> /dev/null"#)
        #expect(run.status == 73)
      }
    }
  }

  /// What was saved before stays whole, and the run goes on when there is room again.
  @Test func aRunGoesOnWhenThereIsRoom() throws {
    try Folder.temporary { folder in
      let train = Self.train + ["--evaluate-every", "1", "--checkpoint-every", "5", "--output"]
      #expect(try Tool.run(train + ["whole"], in: folder).status == 0)
      // A checkpoint takes more than 64 KiB.
      let cut = try Tool.run(train + ["run"], in: folder, under: #"ulimit -f 8; exec "$@" 2> /dev/null"#)
      #expect(cut.status == 73)
      let end = try Tool.run(["train", "resume", "run"], in: folder)
      #expect(end.status == 0, "\(end.error)")
      for file in ["checkpoint-00000030.safetensors", "metrics.jsonl"] {
        #expect(
          try Data(contentsOf: folder.appending(path: "run/\(file)"))
            == Data(contentsOf: folder.appending(path: "whole/\(file)")), "\(file)")
      }
    }
  }
}
