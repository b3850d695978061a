import Foundation
import Testing

/// The program that was built, run as a user would.
enum Tool {
  /// What a run left behind.
  struct Run {
    /// The exit status; 128 + the signal's number if one ended it.
    var status: Int32
    /// Standard output.
    var output: String
    /// Standard error.
    var error: String

    /// The lines of standard output.
    var lines: [Substring] { output.split(separator: "\n") }
  }

  /// The program next to the running tests; a missing one is a failure.
  static func executable() throws -> URL {
    let tests = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    let program = tests.deletingLastPathComponent().appending(path: "routegrad")
    try #require(FileManager.default.isExecutableFile(atPath: program.path), "\(program.path) was not built")
    return program
  }

  /// Runs the program to its end.
  static func run(
    _ arguments: [String], input: String = "", in folder: URL? = nil, environment: [String: String] = [:]
  ) throws -> Run {
    try run(arguments, input: Data(input.utf8), in: folder, environment: environment)
  }

  /// Runs the program to its end on bytes that need not be text.
  static func run(
    _ arguments: [String], input: Data, in folder: URL? = nil, environment: [String: String] = [:]
  ) throws -> Run {
    try Folder.temporary { files in
      // Through files and not through pipes, which would have to be emptied while the program runs.
      let names = ["input", "output", "error"].map { files.appending(path: $0) }
      try input.write(to: names[0])
      for name in names[1...] { try Data().write(to: name) }
      let process = try start(arguments, in: folder, environment: environment) { process in
        process.standardInput = try FileHandle(forReadingFrom: names[0])
        process.standardOutput = try FileHandle(forWritingTo: names[1])
        process.standardError = try FileHandle(forWritingTo: names[2])
      }
      process.waitUntilExit()
      return Run(
        status: process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 128 : 0),
        output: String(decoding: try Data(contentsOf: names[1]), as: UTF8.self),
        error: String(decoding: try Data(contentsOf: names[2]), as: UTF8.self))
    }
  }

  /// Starts the program.
  static func start(
    _ arguments: [String], in folder: URL? = nil, environment: [String: String] = [:],
    _ configure: (Process) throws -> Void
  ) throws -> Process {
    let process = Process()
    process.executableURL = try executable()
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    try configure(process)
    try process.run()
    return process
  }
}

/// Folders that exist for a test only.
enum Folder {
  static func temporary<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "routegrad-tests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
  }

  /// The names of what is in a folder, hidden files too.
  static func names(in folder: URL) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
  }
}

/// Expects a refusal: its status, nothing on standard output, and one line on standard error that begins with the program's
/// name and holds `parts`.
func expectRefusal(
  _ run: Tool.Run, status: Int32, _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(run.status == status, "\(run.error)", sourceLocation: sourceLocation)
  #expect(run.output == "", sourceLocation: sourceLocation)
  let lines = run.error.split(separator: "\n", omittingEmptySubsequences: false)
  #expect(lines.count == 2 && lines.last == "", "\(run.error)", sourceLocation: sourceLocation)
  #expect(run.error.hasPrefix("routegrad: "), "\(run.error)", sourceLocation: sourceLocation)
  #expect(
    run.error.unicodeScalars.dropLast().allSatisfy { $0.properties.generalCategory != .control },
    sourceLocation: sourceLocation)
  for part in parts {
    #expect(run.error.contains(part), "expected “\(part)” in: \(run.error)", sourceLocation: sourceLocation)
  }
}
