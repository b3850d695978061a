import CStandardLibrary
import Foundation
import Testing
import _TestSupport

/// What changes when a terminal looks on.
struct TerminalTests {
  /// TIOCSPTLCK and TIOCGPTN, which Swift does not import.
  private static let unlockTerminal: UInt = 0x4004_5431
  private static let terminalNumber: UInt = 0x8004_5430

  /// What the program shows on a terminal of its own, on both output streams.
  private func show(_ arguments: [String], environment: [String: String]) throws -> String {
    let master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    try #require(master >= 0)
    defer { close(master) }
    var unlock: Int32 = 0
    var number: UInt32 = 0
    try #require(ioctl(master, Self.unlockTerminal, &unlock) == 0)
    try #require(ioctl(master, Self.terminalNumber, &number) == 0)
    let terminal = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
    try #require(terminal >= 0)
    let process = try Tool.start(
      arguments, output: .descriptor(terminal), error: .descriptor(terminal), environment: environment)
    close(terminal)
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(master, &chunk, chunk.count)  // fails once the last writer is gone
      guard count > 0 else { break }
      bytes += chunk[..<count]
    }
    #expect(try Tool.wait(for: process) == 0)
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test(arguments: [
    (["TERM": "xterm", "NO_COLOR": ""], true), (["TERM": "xterm", "NO_COLOR": "1"], false),
    (["TERM": "dumb", "NO_COLOR": ""], false),
  ])
  func coloursAreForTerminalsThatWantThem(environment: [String: String], isColoured: Bool) throws {
    let text = try show(["report", Samples.shipped("categorical-8.json")], environment: environment)
    #expect(text.contains("\u{1B}[1m") == isColoured)
    #expect(text.contains("\u{1B}") == isColoured)
    #expect(text.contains("reinmax"))
    let json = try show(
      ["report", Samples.shipped("categorical-8.json"), "--format", "json"], environment: environment)
    #expect(!json.contains("\u{1B}"))
  }

  @Test func progressIsShownUnlessQuiet() throws {
    let arguments = [
      "report", Samples.shipped("reinmax-polynomial.json"), "--estimators", "gumbel-rao:K=100", "--method",
      "monte-carlo", "--samples", "10000",
    ]
    let environment = ["TERM": "xterm"]
    #expect(try show(arguments, environment: environment).contains(" % of 3 problems"))
    #expect(!(try show(arguments + ["--quiet"], environment: environment).contains(" % of ")))
    #expect(try Tool.run(arguments).error == "")
  }

  @Test func auditsShowProgressUnlessQuiet() throws {
    // All estimators, which takes longer than what no line is worth.
    let arguments = ["audit-layer", Fixtures.root.appending(path: "layers/switch-block.safetensors").path]
    #expect(try show(arguments, environment: ["TERM": "xterm"]).contains(" %\r"))
    #expect(!(try show(arguments + ["--quiet"], environment: ["TERM": "xterm"]).contains(" %\r")))
  }
}
