import CStandardLibrary
import Foundation
import Testing

/// 128 + the signal's number, whatever the command; and what was promised is saved.
struct SignalTests {
  static let signals = [SIGINT, SIGTERM, SIGHUP]

  /// Starts a command, waits until something has happened, and sends a signal; the status and standard error.
  private static func stop(
    _ arguments: [String], by signal: Int32, in folder: URL, once hasBegun: () throws -> Bool
  ) throws -> (status: Int32, error: String) {
    let error = folder.appending(path: "error")
    try Data().write(to: error)
    let process = try Tool.start(arguments, output: .file("/dev/null"), error: .file(error.path), in: folder)
    for _ in 0..<10_000 {
      if try hasBegun() { break }
      usleep(1000)
    }
    kill(process, signal)
    return (try Tool.wait(for: process), try String(contentsOf: error, encoding: .utf8))
  }

  private static func exists(_ name: String, in folder: URL) -> Bool {
    FileManager.default.fileExists(atPath: folder.appending(path: name).path)
  }

  @Test(arguments: signals) func reports(signal: Int32) throws {
    try Folder.temporary { folder in
      let end = try Self.stop(
        ["report", "--method", "monte-carlo", "--samples", "1000000000", "--output", "out.json"], by: signal, in: folder
      ) { try Folder.names(in: folder).count > 1 }
      #expect(end.status == 128 + signal && end.error == "")
      #expect(try Folder.names(in: folder) == ["error"])
    }
  }

  @Test(arguments: signals) func training(signal: Int32) throws {
    try Folder.temporary { folder in
      let end = try Self.stop(
        ["train", "mixture-regression", "--output", "run", "--steps", "1000000", "--batch", "16"], by: signal,
        in: folder
      ) { Self.exists("run/metrics.jsonl", in: folder) }
      #expect(end.status == 128 + signal, "\(end.error)")
      #expect(end.error.hasPrefix("routegrad: interrupted and saved after "), "\(end.error)")
      #expect(try Folder.names(in: folder.appending(path: "run")).contains { $0.hasPrefix("checkpoint-") })
    }
  }

  @Test(arguments: signals) func comparisons(signal: Int32) throws {
    try Folder.temporary { folder in
      let end = try Self.stop(
        ["compare", "--steps", "1000000", "--runs", "runs", "--output", "out"], by: signal, in: folder
      ) { Self.exists("runs/runs", in: folder) }
      #expect(end.status == 128 + signal, "\(end.error)")
      #expect(end.error.hasPrefix("routegrad: interrupted; "), "\(end.error)")
      #expect(try Folder.names(in: folder) == ["error", "runs"])
    }
  }

  /// A router that makes itself a daemon ends with the program, however that ends.
  @Test(arguments: [nil] + signals.map(Optional.some)) func daemonsOfRouters(signal: Int32?) throws {
    try Folder.temporary { folder in
      // The daemon holds neither the group nor a stream of the router's; the parent of one is gone at once.
      let router = """
        setsid sh -c 'echo $$ > first; exec sleep 1000' < /dev/null > /dev/null 2>&1 &
        (setsid sh -c 'echo $$ > second; sleep 1000; true' < /dev/null > /dev/null 2>&1 &)
        while ! [ -s first ] || ! [ -s second ]; do sleep 0.01; done
        \(signal == nil ? "exit 3" : "touch ready; sleep 1000")
        """
      let lint = ["lint", "--", "sh", "-c", router]
      if let signal {
        let end = try Self.stop(lint, by: signal, in: folder) { Self.exists("ready", in: folder) }
        #expect(end.status == 128 + signal && end.error == "", "\(end.error)")
      } else {
        expectRefusal(try Tool.run(lint, in: folder), status: 65, "ended with status 3")
      }
      for name in ["first", "second"] {
        let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
        let process = try #require(pid_t(text.trimmingCharacters(in: .newlines)))
        #expect(kill(process, 0) == -1 && errno == ESRCH, "\(name) is left")
      }
    }
  }

  /// Children that the program had before it became itself are not its own to end.
  @Test func strangersAreLeftAlone() throws {
    try Folder.temporary { folder in
      _ = try Tool.run(
        ["lint", "--", "true"], in: folder,
        under: #"sleep 1000 < /dev/null > /dev/null 2>&1 & echo $! > stranger; exec "$@""#)
      let text = try String(contentsOf: folder.appending(path: "stranger"), encoding: .utf8)
      let process = try #require(pid_t(text.trimmingCharacters(in: .newlines)))
      #expect(kill(process, SIGKILL) == 0)
    }
  }
}
