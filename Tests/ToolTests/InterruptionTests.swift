import CStandardLibrary
import Foundation
import Testing
import _TestSupport

/// What happens when the program is stopped from outside.
struct InterruptionTests {
  private static let endless = [
    "train", "mixture-regression", "--output", "run", "--steps", "1000000", "--batch", "16", "--quiet",
  ]

  private static let audit = [
    "audit-layer", Fixtures.root.appending(path: "layers/switch-block.safetensors").path, "--estimators", "all",
    "--gradients", "means", "--output", "table", "--threads", "1",
  ]

  private func start(_ arguments: [String], in folder: URL, environment: [String: String] = [:]) throws -> pid_t {
    try Tool.start(
      arguments, output: .file("/dev/null"), error: .file("/dev/null"), in: folder, environment: environment)
  }

  /// Waits until something is there; the programs of these tests run until they are stopped.
  private func wait(for path: URL) throws {
    for _ in 0..<3000 where !FileManager.default.fileExists(atPath: path.path) { usleep(10_000) }
    try #require(FileManager.default.fileExists(atPath: path.path), "\(path.path) is not there")
  }

  @Test("a run is saved whichever signal asks for its end", arguments: [SIGINT, SIGTERM, SIGHUP])
  func saves(_ signal: Int32) throws {
    try Folder.temporary { folder in
      let process = try start(Self.endless, in: folder)
      try wait(for: folder.appending(path: "run/metrics.jsonl"))
      kill(process, signal)
      #expect([130, 128 + signal].contains(try Tool.wait(for: process)))
      #expect(try Folder.names(in: folder.appending(path: "run")).contains { $0.hasPrefix("checkpoint-") })
    }
  }

  @Test("a hangup that was ignored stays ignored, an interrupt does not", arguments: ["HUP,INT", "INT"])
  func nohup(_ ignored: String) throws {
    try Folder.temporary { folder in
      let process = try Tool.start(
        Self.audit, output: .file("/dev/null"), error: .file("/dev/null"), in: folder, ignoring: ignored)
      for _ in 0..<3000 where try Folder.names(in: folder).count < 2 { usleep(10_000) }
      kill(process, SIGHUP)
      usleep(50_000)
      kill(process, SIGINT)
      #expect(try Tool.wait(for: process) == (ignored == "INT" ? 128 + SIGHUP : 130))
      #expect(try Folder.names(in: folder) == [])
    }
  }

  @Test("neither of two unfinished files is left", arguments: [SIGINT, SIGTERM])
  func twoFiles(_ signal: Int32) throws {
    try Folder.temporary { folder in
      let process = try start(Self.audit, in: folder)
      for _ in 0..<3000 where try Folder.names(in: folder).count < 2 { usleep(10_000) }
      kill(process, signal)
      #expect(try Tool.wait(for: process) == 128 + signal)
      #expect(try Folder.names(in: folder) == [])
    }
  }

  @Test("rates and table of one comparison may stand in one folder")
  func twoOutputs() throws {
    try Folder.temporary { folder in
      let run = try Tool.run(
        [
          "compare", "--routers", "switch,exact", "--seeds", "2", "--tune", "--tune-seeds", "1", "--steps", "4",
          "--batch",
          "4", "--audit-every", "0", "--rates", "rates.json", "--output", "table.txt", "--quiet",
        ], in: folder)
      #expect(run.status == 0, "\(run.error)")
      #expect(try Folder.names(in: folder) == ["rates.json", "table.txt"])
      #expect(try String(contentsOf: folder.appending(path: "table.txt"), encoding: .utf8).contains("switch"))
    }
  }

  @Test("nothing is left of runs that nobody wanted to keep")
  func temporaryRuns() throws {
    try Folder.temporary { folder in
      let process = try start(
        ["compare", "--seeds", "64", "--steps", "100000", "--quiet"], in: folder,
        environment: ["TMPDIR": folder.path])
      for _ in 0..<3000 where try Folder.names(in: folder).isEmpty { usleep(10_000) }
      #expect(try Folder.names(in: folder).count == 1)
      kill(process, SIGINT)
      #expect(try Tool.wait(for: process) == 130)
      #expect(try Folder.names(in: folder) == [])
    }
  }
}
