import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// One run of the program on a case, in a folder of its own.
struct CaseRun: Sendable {
  /// What the program is allowed.
  struct Limits: Sendable {
    /// Seconds by the clock.
    var seconds: Double
    /// MiB of resident memory.
    var memory: Int
  }

  /// How it ended.
  enum End: Sendable, Equatable {
    case status(Int)
    case signal(Int)
    case timeout
  }

  var end: End
  /// The largest resident memory of this process so far, MiB.
  static var ownMemory: Int {
    var usage = rusage()
    getrusage(numericCast(RUSAGE_SELF.rawValue), &usage)
    return Int(usage.ru_maxrss) / 1024
  }

  /// The largest resident memory, MiB.
  var memory: Int
  var seconds: Double
  var output: [UInt8]
  var error: [UInt8]
  /// Files that are other than they were, or new.
  var changedFiles: [String]

  /// A shell sets limits that cannot be set from here, and becomes the program: twice the time of the processor on every
  /// thread, so that nothing is left behind even if we end first; four times the memory; no core.
  private static let script =
    #"cd "$1" && ulimit -c 0 && ulimit -t "$2" && ulimit -v "$3" && shift 3 && exec "$@""#

  /// The largest resident memory of a process so far, MiB; 0 if it is gone.
  private static func memory(of process: pid_t) -> Int {
    guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
      let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") })
    else { return 0 }
    return (Int(line.filter(\.isNumber)) ?? 0) / 1024
  }

  /// Runs a program.
  ///
  /// - Parameter folder: where it may write; made, and removed afterwards.
  /// - Throws: if files cannot be written or nothing can be started.
  init(_ program: String, _ fuzzCase: FuzzCase, in folder: String, limits: Limits) throws {
    let place = folder + "/case"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Self.write(fuzzCase.files, to: place)
    let streams = ["input", "output", "error"].map { "\(folder)/\($0)" }
    try Self.write([.init("input", fuzzCase.input), .init("output", []), .init("error", [])], to: folder)
    let settings = [place, "\(Int(2 * limits.seconds) + 10)", "\(4 * limits.memory * 1024)", program]
    let start = Clock.now
    let process = try Self.spawn(
      (["/bin/sh", "-c", Self.script, "sh"] + settings).map { Array($0.utf8) } + fuzzCase.arguments, streams: streams)
    var status: Int32 = 0
    var usage = rusage()
    var isOver = false
    var seen = 0
    while true {
      let ended = wait4(process, &status, isOver ? 0 : WNOHANG, &usage)
      if ended == process { break }
      if ended < 0, errno != EINTR {
        throw FuzzFailure("waiting for a case failed: \(String(cString: strerror(errno)))")
      }
      seconds = Clock.now - start
      if !isOver, seconds > limits.seconds {
        isOver = true
        kill(-process, SIGKILL)
      }
      seen = max(seen, Self.memory(of: process))
      usleep(seconds < 0.1 ? 1000 : 5000)
    }
    kill(-process, SIGKILL)  // what it left behind
    seconds = Clock.now - start
    let signal = Int(status & 0x7F)
    end =
      isOver || signal == Int(SIGXCPU) ? .timeout : signal != 0 ? .signal(signal) : .status(Int((status >> 8) & 0xFF))
    // The kernel counts what the starting process had at the most as the child's, too: less than that says nothing, and what was
    // seen while it ran is what there is.
    let largest = Int(usage.ru_maxrss) / 1024
    memory = largest > Self.ownMemory ? largest : seen
    output = Self.read(streams[1])
    error = Self.read(streams[2])
    changedFiles = Self.changes(fuzzCase.files, in: place)
  }

  private static func spawn(_ arguments: [[UInt8]], streams: [String]) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (number, path) in streams.enumerated() {
      posix_spawn_file_actions_addopen(&actions, Int32(number), path, number == 0 ? O_RDONLY : O_WRONLY, 0)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    // A trap that prints its stack takes seconds.
    let own = ProcessInfo.processInfo.environment
    let kept: [String] = ["PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR"].compactMap { name in
      own[name].map { "\(name)=\($0)" }
    }
    let environment = (kept + ["LC_ALL=C.UTF-8", "SWIFT_BACKTRACE=enable=no"]).map { Array($0.utf8) }
    var process = pid_t()
    let failure = withCStrings(arguments) { arguments in
      withCStrings(environment) { posix_spawn(&process, "/bin/sh", &actions, &attributes, arguments, $0) }
    }
    guard failure == 0 else { throw FuzzFailure("a case cannot be started: \(String(cString: strerror(failure)))") }
    return process
  }

  private static func withCStrings<Result>(_ strings: [[UInt8]], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result)
    -> Result
  {
    let copies = strings.map { bytes in
      (bytes + [0]).withUnsafeBufferPointer { $0.withMemoryRebound(to: CChar.self) { strdup($0.baseAddress!) } }
    }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
  }

  // MARK: - Files

  /// Writes files below a folder, which is made if it is not there; names need not be UTF-8.
  static func write(_ files: [FuzzCase.File], to folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for file in files {
      let path = Array("\(folder)/".utf8) + file.name
      for k in (folder.utf8.count + 1)..<path.count where path[k] == UInt8(ascii: "/") {
        _ = mkdir(path[..<k].map { CChar(bitPattern: $0) } + [0], 0o777)
      }
      let descriptor = open(path.map { CChar(bitPattern: $0) } + [0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
      guard descriptor >= 0 else {
        throw FuzzFailure("\(folder): cannot be written: \(String(cString: strerror(errno)))")
      }
      defer { close(descriptor) }
      var rest = file.bytes[...]
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { throw FuzzFailure("\(folder): cannot be written: \(String(cString: strerror(errno)))") }
        rest = rest.dropFirst(count)
      }
    }
  }

  /// What a file holds, its first 32 MiB.
  private static func read(_ path: String) -> [UInt8] {
    guard let file = FileHandle(forReadingAtPath: path) else { return [] }
    defer { try? file.close() }
    return (try? file.read(upToCount: 1 << 25)).flatMap { $0.map { [UInt8]($0) } } ?? []
  }

  /// Files below a folder that are not what they were.
  private static func changes(_ files: [FuzzCase.File], in folder: String) -> [String] {
    var left = Dictionary(files.map { (String(decoding: $0.name, as: UTF8.self), $0.bytes) }) { $1 }
    var changed: [String] = []
    for name in FileManager.default.enumerator(atPath: folder)?.compactMap({ $0 as? String }) ?? [] {
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder) else { continue }
      if isFolder.boolValue {
        if !files.contains(where: { $0.name.starts(with: "\(name)/".utf8) }) { changed.append(name + "/") }
      } else if left.removeValue(forKey: name) != read("\(folder)/\(name)") {
        changed.append(name)
      }
    }
    return (changed + left.keys).sorted()
  }
}

/// Why no cases can be run.
struct FuzzFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
