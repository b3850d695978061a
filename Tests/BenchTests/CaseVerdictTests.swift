import Foundation
import Testing

@testable import routegrad_bench

/// How a run is judged, by programs that do what ours must not.
struct CaseVerdictTests {
  private static let limits = CaseRun.Limits(seconds: 8, memory: 64)

  /// Runs a line of shell as if it were the program.
  private static func run(
    _ script: String, limits: CaseRun.Limits = limits, _ change: (inout FuzzCase) -> Void = { _ in }
  ) throws -> (CaseRun, CaseVerdict) {
    var fuzzCase = FuzzCase(.problem)
    fuzzCase += ["-c", script]
    fuzzCase.files = [.init("a/problem.json", [1, 2, 3])]
    change(&fuzzCase)
    let folder = FileManager.default.temporaryDirectory.appending(path: "routegrad-fuzz-\(UUID().uuidString)").path
    let run = try CaseRun("/bin/sh", fuzzCase, in: folder, limits: limits)
    #expect(!FileManager.default.fileExists(atPath: folder))
    return (run, CaseVerdict(run, of: fuzzCase, limits: limits))
  }

  @Test(
    "What a program does, and what it is called",
    arguments: [
      ("echo fine", .answered), ("exit 1", .status), ("exit 2", .status), ("exit 3", .status), ("exit 70", .status),
      ("exit 134", .status), ("exit 65", .words), ("echo bad >&2; exit 65", .refused),
      ("echo bad >&2; exit 64", .refused),
      ("echo bad >&2; exit 66", .refused), ("echo bad >&2; exit 73", .refused), ("printf bad >&2; exit 65", .words),
      ("echo one >&2; echo two >&2; exit 65", .words), ("echo 'JSONError(path)' >&2; exit 65", .words),
      ("echo 'Optional(1)' >&2; exit 65", .words), (#"printf 'a\033[31m\n' >&2; exit 65"#, .words),
      ("echo half; echo bad >&2; exit 65", .files), ("echo 1 > new; echo bad >&2; exit 65", .files),
      ("echo 1 > a/problem.json; echo bad >&2; exit 65", .files), ("rm a/problem.json; echo bad >&2; exit 65", .files),
      ("mkdir new; echo bad >&2; exit 65", .files), ("kill -ILL $$", .trap),
      ("kill -SEGV $$", .trap),
      ("sleep 60", .hang), ("while :; do :; done", .hang), ("printf '1,n%s,2' an", .result),
      ("printf '%sf' -in", .result),
      ("echo information", .answered),
      ("echo 'out: step 3: the loss is not finite any more' >&2; echo 1 > new; exit 65", .answered),
    ] as [(String, CaseVerdict.Kind)])
  func kinds(script: String, kind: CaseVerdict.Kind) throws {
    #expect(try Self.run(script).1.kind == kind)
  }

  @Test("A program that takes too much memory")
  func memory() throws {
    // More than this process had itself, below which a child's memory is not told.
    let limits = CaseRun.Limits(seconds: 30, memory: CaseRun.ownMemory + 150)
    let (run, verdict) = try Self.run(
      "x=$(head -c \(limits.memory << 21) /dev/zero | tr '\\0' a); echo ${#x}", limits: limits)
    #expect(verdict.kind == .memory, "\(run.memory) MiB")
    #expect(run.memory > limits.memory)
  }

  @Test("A result that is to be JSON is, on all lines if it has several")
  func json() throws {
    #expect(try Self.run("echo '{\"a\": 1}'") { $0.result = .json }.1.kind == .answered)
    #expect(try Self.run("echo '{\"a\": NaN}'") { $0.result = .json }.1.kind == .result)
    #expect(try Self.run("echo '{\"a\": 1'") { $0.result = .json }.1.kind == .result)
    #expect(try Self.run("echo '{}'; echo '{}'") { $0.result = .jsonLines }.1.kind == .answered)
    #expect(try Self.run("echo '{}'; echo 'no'") { $0.result = .jsonLines }.1.kind == .result)
  }

  @Test("What hangs has its whole group ended, and what the input says may be repeated")
  func groups() throws {
    let mark = "\(31_000_000 + Int(getpid()))"
    #expect(try Self.run("sleep \(mark) & sleep \(mark)").1.kind == .hang)
    let left = try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { name in
      guard Int(name) != nil, let words = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") else {
        return false
      }
      return words.starts(with: Array("sleep\0\(mark)\0".utf8))
    }
    #expect(left == [])
    #expect(try Self.run("cat; echo inf") { $0.input = Array("a name: inf\n".utf8) }.1.kind == .answered)
  }

  @Test("Arguments and names of files need not be UTF-8")
  func bytes() throws {
    let (run, verdict) = try Self.run("cat \"$0\"; printf '%s' \"$1\" | od -An -tx1") {
      $0.arguments += [[0xFF, 0x41], [0xC3, 0x28]]
      $0.files.append(.init("", Array("inside\n".utf8)))
      $0.files[1].name = [0xFF, 0x41]
    }
    #expect(verdict.kind == .answered)
    #expect(String(decoding: run.output, as: UTF8.self) == "inside\n c3 28\n")
  }

  @Test("A report counts what it was told, and names what was found")
  func report() throws {
    var report = FuzzReport(seed: 5)
    for (number, script) in [(3, "kill -ILL $$"), (1, "echo fine"), (2, "echo a >&2; exit 65")] {
      var fuzzCase = FuzzCase(.npy)
      fuzzCase += ["-c", script, "it's"]
      let (run, verdict) = try Self.run(script)
      report.add(number, fuzzCase, verdict, run)
    }
    #expect(report.cases == 3)
    #expect(report.findings.map(\.number) == [3])
    #expect(report.findings[0].command == #"routegrad -c $'kill -ILL $$' $'it\'s'"#)
    #expect(report.count(.answered) == 1 && report.count(.refused) == 1 && report.count(.trap) == 1)
    #expect(report.table.contains("npy                   1       1       1       0"))
  }
}
