import CStandardLibrary
import Foundation
import Testing
import _TestSupport

/// `routegrad lint` against a small router of our own that behaves as it is told.
@Suite struct LintCommandTests {
  private func lint(_ options: [String] = [], _ router: String...) throws -> Tool.Run {
    let folder = URL(filePath: try Tool.executable()).deletingLastPathComponent()
    return try Tool.run(["lint"] + options + ["--", folder.appending(path: "lint-test-router").path] + router)
  }

  @Test(arguments: ["switch", "mixtral", "sparsemixer-v2", "input-jitter", "limited"])
  func soundRoutersEndWithZero(family: String) throws {
    let run = try lint([], family)
    #expect(run.status == 0, "\(run.error)")
    #expect(run.error == "")
    // The title is in one line where it fits.
    #expect(run.output.hasPrefix("\(family)  8 experts") || run.output.hasPrefix("\(family)\n  8 experts"))
    #expect(run.output.contains("Verdict: proved."))
    #expect(run.lines.allSatisfy { $0.count <= 80 })
  }

  @Test func faultsEndWithOneAndACounterExample() throws {
    let run = try lint([], "mixtral", "wrongEntries")
    #expect(run.status == 1)
    #expect(run.output.contains("gradient-entries    refuted"))
    #expect(run.output.contains("Why it matters: "))
    #expect(run.output.contains("Verdict: refuted."))
  }

  @Test func drawsThatAreNotForcedAreRefutedAndTheRestIsUndecided() throws {
    let run = try lint([], "sampled", "drawsItsOwn")
    #expect(run.status == 1)
    #expect(run.output.contains("not repeatable"))
  }

  @Test func jsonHasEveryField() throws {
    let run = try lint(["--format", "json", "--seed", "3"], "sparsemixer", "factorTwo")
    #expect(run.status == 1)
    let report = try DecodedJSON(run.output)
    #expect(report.keys == ["schema", "version", "router", "seed", "verdict", "calls", "tolerance", "checks"])
    #expect(report["schema"].string == "routegrad.lint/1")
    #expect(report["seed"].string == "3")
    #expect(report["verdict"].string == "refuted")
    #expect(report["router"]["gradientFactor"].number == 2)
    #expect(report["router"]["specification"]["gate"]["factor"].number == 2)
    #expect(report["checks"][0].keys == ["check", "verdict", "detail", "reason", "calls"])
    #expect(report["checks"][5]["check"].string == "gate-gradient")
    #expect(report["checks"][5]["detail"].string?.contains(", 2 times what it should be; ") == true)
    #expect(report["checks"].items.count == 26)
  }

  /// What a router is asked to be it is held to, and a mistake is named.
  @Test(arguments: ["deepseek-v3", "gpt-oss", "llama-4", "longcat-flash"])
  func routersOfTheCatalogue(name: String) throws {
    let sound = try lint(["--spec", name, "--experts", name == "longcat-flash" ? "384" : "32"], "specified")
    #expect(sound.status == 0, "\(sound.output)\(sound.error)")
    #expect(sound.lines.allSatisfy { $0.count <= 80 })
    let faulty = try lint(
      ["--spec", name, "--experts", name == "longcat-flash" ? "384" : "32", "--format", "json"], "specified",
      "one-expert-fewer")
    #expect(faulty.status == 1)
    #expect(faulty.output.contains("(one-expert-fewer)"))
  }

  /// Softmax, top-k, normalised, and top-k, then softmax, are the same function; without the sum they are not.
  @Test func twoRoutersAgainstEachOther() throws {
    let program = URL(filePath: try Tool.executable()).deletingLastPathComponent().appending(path: "lint-test-router")
      .path
    func compare(_ mine: [String], _ other: String, _ name: String) throws -> Tool.Run {
      try Tool.run(["lint", "--spec", name, "--same-as", "'\(program)' \(other)", "--", program] + mine)
    }
    let same = try compare(["specified", "softmax-over-chosen"], "specified", "mixtral")
    #expect(same.status == 0, "\(same.output)\(same.error)")
    #expect(same.output.contains("same-as"))
    let other = try compare(["specified", "softmax-over-chosen"], "specified", "olmoe")
    #expect(other.status == 1)
    #expect(other.output.contains("softmax-over-chosen"))
    expectRefusal(
      try compare(["specified"], "silent-exit", "mixtral"), status: 65, "silent-exit: ", "ended with status 0")
  }

  @Test func theSameSeedGivesTheSameBytes() throws {
    let one = try lint(["--seed", "7"], "sparsemixer-v2")
    let other = try lint(["--seed", "7"], "sparsemixer-v2")
    #expect(one.output == other.output)
    #expect(try lint(["--seed", "8"], "sparsemixer-v2").output != one.output)
  }

  /// What a router may do, and the one line that is said of it.
  @Test(arguments: [
    ("hang", "gave no answer within 0.5 s"), ("hang-later", "gave no answer within 0.5 s"),
    ("die", "the router ended with status 3; its last words: ValueError: no such expert"),
    ("silent-exit", "the router ended with status 0"), ("flood", "the router's profile: name: expected"),
    ("endless-line", "without a line feed"), ("garbage", "the answer: expected a JSON value"),
    ("nan", "the answer: multipliers[0][0]: expected a finite number"),
    ("short", "gradient[0]: expected 8 entries, got 1"), ("wrong-call", "call: expected 2, got 1"),
    ("close-input", "the router closed its standard input"),
  ])
  func badRoutersGetOneLineAndNoHang(kind: String, words: String) throws {
    expectRefusal(
      try lint(["--timeout", kind.hasPrefix("hang") ? "0.5" : "60"], kind), status: 65, "lint-test-router: ", words)
  }

  @Test func commandsThatCannotBeStarted() throws {
    expectRefusal(
      try Tool.run(["lint", "--", "no-such-command-anywhere"]), status: 66, "no-such-command-anywhere",
      "cannot be started: No such file")
    expectRefusal(try Tool.run(["lint", "--", "/"]), status: 66, "/: cannot be started: Permission denied")
  }

  @Test(arguments: [
    ([], "expected a command after '--'"), (["--"], "expected a command after '--'"),
    (["--experts", "1", "--", "cat"], "'--experts': expected 2 to 1024 experts, got 1"),
    (["--top-k", "9", "--", "cat"], "'--top-k': expected 1 to 8, got 9"),
    (["--timeout", "0", "--", "cat"], "'--timeout': expected a number above 0"),
    (["--timeout", "nan", "--", "cat"], "'--timeout': expected a number above 0"),
    (["cat"], "expected a command after '--'"), (["--same-as", "", "--", "cat"], "'--same-as': expected a command"),
    (["--spec", "mixtral", "--top-k", "2", "--", "cat"], "'--top-k': expected none with --spec"),
    (["--spec", "mixtrall", "--", "cat"], "unknown router 'mixtrall'"),
    (["--spec", "deepseek-v3", "--experts", "9", "--", "cat"], "groups.count: expected a divisor of 9"),
  ])
  func wrongUsage(arguments: [String], words: String) throws {
    expectRefusal(try Tool.run(["lint"] + arguments), status: 64, words)
  }

  @Test func whatWasAskedForIsHeldTo() throws {
    expectRefusal(try lint(["--experts", "5"], "switch"), status: 65, "experts: expected 5, as asked for, got 8")
    expectRefusal(try lint(["--top-k", "1"], "mixtral"), status: 65, "topK: expected 1, as asked for, got 2")
  }

  /// An echo answers with the greeting itself.
  @Test func anEchoIsNoRouter() throws {
    expectRefusal(
      try Tool.run(["lint", "--", "cat"]), status: 65,
      "cat: the router's profile: schema: expected \"routegrad.router/2\", got \"routegrad.router/1\"")
  }

  @Test func anInterruptEndsTheRouterToo() throws {
    try Folder.temporary { folder in
      let file = folder.appending(path: "pid")
      let process = try Tool.start(
        ["lint", "--", "sh", "-c", "sleep 1000 & echo $! > '\(file.path)'; wait"], output: .file("/dev/null"),
        error: .file("/dev/null"))
      for _ in 0..<1000 where (try? String(contentsOf: file, encoding: .utf8))?.hasSuffix("\n") != true {
        usleep(10_000)
      }
      let child = try #require(pid_t(try String(contentsOf: file, encoding: .utf8).dropLast()))
      kill(process, SIGINT)
      #expect(try Tool.wait(for: process) == 130)
      try expectGone(child)
    }
  }

  @Test func nothingIsLeftOfARouterThatHangs() throws {
    try Folder.temporary { folder in
      let file = folder.appending(path: "pid")
      let run = try Tool.run([
        "lint", "--timeout", "0.5", "--", "sh", "-c",
        "trap '' TERM HUP; (trap '' TERM; sleep 1000) & echo $! > '\(file.path)'; while :; do wait; done",
      ])
      expectRefusal(run, status: 65, "gave no answer within 0.5 s")
      let child = try #require(pid_t(try String(contentsOf: file, encoding: .utf8).dropLast()))
      try expectGone(child)
    }
  }

  /// A process that was killed is gone as soon as whoever inherited it has looked.
  private func expectGone(_ process: pid_t) throws {
    for _ in 0..<500 {
      guard kill(process, 0) == 0 else { return }
      let state = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
      guard let state, !state.contains(") Z") else { return }
      usleep(10_000)
    }
    Issue.record("process \(process) is still there")
  }
}
