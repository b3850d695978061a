import CStandardLibrary
import Foundation
import Testing

/// The program that was built, run as a user would.
///
/// By `posix_spawn` and not by Foundation's Process, whose `waitUntilExit` hangs on Linux when several run at once.
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

  /// Where one of the three standard streams goes.
  enum Stream {
    /// A file that exists.
    case file(String)
    /// A descriptor of the tests.
    case descriptor(Int32)
  }

  /// The program next to the running tests; a missing one is a failure.
  static func executable() throws -> String {
    let tests = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    let program = tests.deletingLastPathComponent().appending(path: "routegrad").path
    try #require(access(program, X_OK) == 0, "\(program) was not built")
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
      let process = try start(
        arguments, input: .file(names[0].path), output: .file(names[1].path), error: .file(names[2].path),
        in: folder, environment: environment)
      let status = try wait(for: process)
      return Run(
        status: status, output: String(decoding: try Data(contentsOf: names[1]), as: UTF8.self),
        error: String(decoding: try Data(contentsOf: names[2]), as: UTF8.self))
    }
  }

  /// Starts the program and returns its process; `ignored` are signals that it finds ignored, as `HUP,INT`.
  static func start(
    _ arguments: [String], input: Stream = .file("/dev/null"), output: Stream, error: Stream,
    in folder: URL? = nil, environment: [String: String] = [:], ignoring ignored: String? = nil
  ) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (number, stream) in [input, output, error].enumerated() {
      switch stream {
      case .file(let path):
        posix_spawn_file_actions_addopen(&actions, Int32(number), path, number == 0 ? O_RDONLY : O_WRONLY, 0)
      case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
      }
    }
    // As a shell would start it, whatever the tests do with the signal.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGPIPE)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))

    // posix_spawn cannot change the folder in portable C; env, which becomes the program, can.
    let change = (folder.map { ["--chdir", $0.path] } ?? []) + (ignored.map { ["--ignore-signal=\($0)"] } ?? [])
    let command = (change.isEmpty ? [] : ["/usr/bin/env"] + change) + [try executable()] + arguments
    // In a locale that has all characters, unless a test asks for another.
    let variables = ProcessInfo.processInfo.environment.merging(["LC_ALL": "C.UTF-8"]) { $1 }
      .merging(environment) { $1 }.map { "\($0)=\($1)" }
    var process = pid_t()
    let failure = withCStrings(command) { arguments in
      withCStrings(variables) { posix_spawn(&process, command[0], &actions, &attributes, arguments, $0) }
    }
    try #require(failure == 0, "\(command[0]) cannot be started: \(String(cString: strerror(failure)))")
    return process
  }

  /// Waits for a process to end; its exit status, or 128 + the signal's number.
  static func wait(for process: pid_t) throws -> Int32 {
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 { try #require(errno == EINTR) }
    let signal = status & 0x7F
    return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
  }

  private static func withCStrings<Result>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
  ) -> Result {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
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
