import ArgumentParser
import FileFormats
import Foundation
import RouteGrad
import RoutingCore
import Synchronization

/// Runs the program on inputs that are damaged or extreme, and looks at how it ends.
struct FuzzCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fuzz",
    abstract: "Runs the program on seeded mutations of every input format, and counts how it ends.",
    discussion: """
      Case k is a function of seed and k alone. It runs in a folder of its own, and is answered (status 0; 1 and 2 of verdicts), refused \
      (64, 65, 66, 73, with one line on standard error and nothing else left behind), or a finding. Exit status: 0 without findings, 1 \
      with some.
      """)

  @Option(help: "The program. (default: the 'routegrad' beside this one)") var program: String?
  @Option(help: "The seed.") var seed: UInt64 = 1
  @Option(help: "The number of cases.") var cases = 1000
  @Option(help: "The first case's number.") var first = 0
  @Option(help: "Run this case alone, and print its command.") var `case`: Int?
  @Option(help: "Formats to draw cases from, with commas; the numbers then stand for other cases. (default: all)")
  var formats: String?
  @Option(help: "Cases at once.") var jobs = ProcessInfo.processInfo.activeProcessorCount
  @Option(help: "The seconds that a case may take.") var limit = 20.0
  @Option(help: "The MiB of memory that a case may take; a file that never ends is refused at 1024.") var memory = 1280
  @Flag(help: "Say of every case how it ended.") var all = false
  @Option(help: "Keep every finding's files, command and output in this folder.") var keep: String?

  func validate() throws {
    try requirePositive([("--cases", cases), ("--jobs", jobs), ("--memory", memory)])
    guard limit > 0, limit < 1e6 else { throw ValidationError("--limit: expected seconds, got \(limit)") }
    guard memory <= 1 << 30 else { throw ValidationError("--memory: expected MiB, got \(memory)") }
    guard first >= 0, `case` ?? 0 >= 0 else { throw ValidationError("--first, --case: expected at least 0") }
    _ = try drawnFormats()
  }

  private func drawnFormats() throws -> [FuzzFormat] {
    guard let formats else { return FuzzFormat.allCases }
    return try formats.split(separator: ",").map { name in
      guard let format = FuzzFormat(rawValue: String(name)) else {
        let all = FuzzFormat.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("--formats: expected some of \(all), got '\(name)'")
      }
      return format
    }
  }

  func run() throws {
    let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().path
    let program = program.map { URL(filePath: $0).path } ?? beside(own)
    guard access(program, X_OK) == 0 else { throw FuzzFailure("\(program): expected a program") }
    let scratch = FileManager.default.temporaryDirectory.appending(path: "routegrad-fuzz-\(getpid())").path
    defer { try? FileManager.default.removeItem(atPath: scratch) }
    try FileManager.default.createDirectory(atPath: scratch + "/runs", withIntermediateDirectories: true)
    let cases = FuzzCases(
      seed: seed, formats: try drawnFormats(), runs: try RunSamples(in: scratch + "/runs"),
      router: [own, "fuzz-router"])
    let limits = CaseRun.Limits(seconds: limit, memory: memory)
    let state = Mutex<(report: FuzzReport, failure: (any Error)?)>((FuzzReport(seed: seed), nil))
    let start = Clock.now
    concurrently(`case` == nil ? self.cases : 1, threads: jobs) { k in
      guard state.withLock({ $0.failure == nil }) else { return }
      let number = `case` ?? first + k
      do {
        let fuzzCase = cases[number]
        let run = try CaseRun(program, fuzzCase, in: "\(scratch)/\(number)", limits: limits)
        let verdict = CaseVerdict(run, of: fuzzCase, limits: limits)
        if verdict.kind.isFinding || all || `case` != nil {
          complain(
            "case \(number), \(fuzzCase.format.rawValue): \(verdict.kind.rawValue) \(verdict.note)\n  \(fuzzCase.shellCommand)"
          )
          if let keep, verdict.kind.isFinding || `case` != nil { try save(number, fuzzCase, run, verdict, in: keep) }
        }
        state.withLock { $0.report.add(number, fuzzCase, verdict, run) }
      } catch {
        state.withLock { $0.failure = error }
      }
    }
    var (report, failure) = state.withLock { $0 }
    if let failure { throw failure }
    report.seconds = Clock.now - start
    print(report.table, terminator: "")
    print(JSONWriter.line(report.json))
    if !report.findings.isEmpty { throw ExitCode(1) }
  }

  private func beside(_ own: String) -> String {
    URL(filePath: own).deletingLastPathComponent().appending(path: "routegrad").path
  }

  private func complain(_ text: String) {
    FileHandle.standardError.write(
      Data((text.unicodeScalars.count > 1500 ? text.prefix(1500) + "…" : text[...]).utf8 + [0x0A]))
  }

  private func save(_ number: Int, _ fuzzCase: FuzzCase, _ run: CaseRun, _ verdict: CaseVerdict, in folder: String)
    throws
  {
    let place = "\(folder)/\(fuzzCase.format.rawValue)-\(seed)-\(number)"
    let finding: JSONValue = [
      "seed": .string("\(seed)"), "case": JSONValue(number), "verdict": .string(verdict.kind.rawValue),
      "note": .string(verdict.note),
      "seconds": JSONValue(run.seconds), "memoryMiB": JSONValue(run.memory),
    ]
    try CaseRun.write(fuzzCase.files, to: place + "/case")
    try CaseRun.write(
      [
        .init("input", fuzzCase.input), .init("command", Array((fuzzCase.shellCommand + "\n").utf8)),
        .init("output", run.output),
        .init("error", run.error), .init("finding.json", Array(JSONWriter.indented(finding).utf8)),
      ], to: place)
  }
}
