import CStandardLibrary
import RouteGrad

/// Files that are read.
enum Input {
  /// Larger files are refused, so that reading a device by mistake ends.
  static let largest = 1 << 30

  /// What a file is called in messages.
  static func name(of path: String) -> String { path == "-" ? "standard input" : path }

  /// The problems of a file, or of standard input for `-`.
  ///
  /// - Throws: ``Failure`` if it cannot be read, `InvalidFile` if it holds no problems.
  static func problems(in path: String) throws -> [FiledProblem] {
    try ProblemFile.problems(of: bytes(of: path), file: name(of: path))
  }

  /// Larger files of problems are read piece by piece, twice.
  private static let inMemory = 1 << 23
  private static let piece = 1 << 18

  /// The problems of a file, or of standard input for `-`, which need not fit into memory.
  ///
  /// - Throws: ``Failure`` if it cannot be read, `InvalidFile` if it is small and holds no problems.
  static func source(of path: String) throws -> ProblemSource {
    let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(path) }
    var status = stat()
    let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    let beginning = isFile ? Int(lseek(descriptor, 0, SEEK_CUR)) : 0
    var bytes: [UInt8] = []
    while bytes.count <= inMemory {
      let piece = try read(descriptor, path: path)
      if piece.isEmpty {
        if path != "-" { close(descriptor) }
        return ProblemSource(try ProblemFile.problems(of: bytes, file: name(of: path)))
      }
      bytes += piece
    }
    // What cannot be read twice is kept in a file without a name.
    let kept = isFile ? descriptor : try copy(bytes, andTheRestOf: descriptor, path: path)
    return ProblemSource(file: name(of: path)) {
      var offset = isFile ? beginning : 0
      return {
        let piece = try read(kept, path: path, at: offset)
        offset += piece.count
        return piece
      }
    }
  }

  /// The next bytes, none at the end; with an offset those from there on.
  private static func read(_ descriptor: Int32, path: String, at offset: Int? = nil) throws(Failure) -> [UInt8] {
    while true {
      var count = 0
      let bytes = [UInt8](unsafeUninitializedCapacity: piece) { buffer, initialized in
        count =
          offset.map { pread(descriptor, buffer.baseAddress, piece, off_t($0)) }
          ?? Glibc.read(descriptor, buffer.baseAddress, piece)
        initialized = max(count, 0)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw unreadable(path) }
      return bytes
    }
  }

  /// A file without a name that holds some bytes and what is left of a stream.
  private static func copy(_ bytes: [UInt8], andTheRestOf descriptor: Int32, path: String) throws(Failure) -> Int32 {
    guard let file = tmpfile() else {
      throw Failure(.noOutput, "a temporary file: cannot be written: \(String(cString: strerror(errno)))")
    }
    var piece = bytes
    var total = 0
    while !piece.isEmpty {
      total += piece.count
      guard total <= largest else {
        throw Failure(.wrongData, "\(name(of: path)): expected at most \(largest) bytes, got more")
      }
      guard fwrite(piece, 1, piece.count, file) == piece.count else {
        throw Failure(.noOutput, "a temporary file: cannot be written: \(String(cString: strerror(errno)))")
      }
      piece = try read(descriptor, path: path)
    }
    guard fflush(file) == 0 else {
      throw Failure(.noOutput, "a temporary file: cannot be written: \(String(cString: strerror(errno)))")
    }
    return fileno(file)
  }

  /// The one problem of a file, or the one with a name.
  ///
  /// - Parameters:
  ///   - path: the file, or `-`.
  ///   - name: the problem's name, if one was asked for.
  ///   - option: the option by which one is asked for, for messages.
  /// - Throws: as ``problems(in:)``, and ``Failure`` if it is not exactly one.
  static func problem(in path: String, named name: String?, option: String) throws -> FiledProblem {
    let problems = try problems(in: path)
    let place = Self.name(of: path)
    guard let name else {
      guard problems.count == 1 else {
        throw Failure(
          .wrongUsage,
          "\(place): expected one problem, got \(problems.count); choose with \(option): \(names(problems))")
      }
      return problems[0]
    }
    let found = problems.filter { $0.problem.name == name }
    guard found.count == 1 else {
      throw Failure(
        .wrongUsage, "\(place): expected one problem named '\(name)', got \(found.count); names: \(names(problems))")
    }
    return found[0]
  }

  /// The first names, for messages.
  private static func names(_ problems: [FiledProblem]) -> String {
    let names = problems.compactMap(\.problem.name)
    guard !names.isEmpty else { return "none has a name" }
    return names.prefix(8).joined(separator: ", ") + (names.count > 8 ? ", …" : "")
  }

  /// What a file holds, or standard input for `-`.
  static func bytes(of path: String) throws(Failure) -> [UInt8] {
    let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(path) }
    defer { if path != "-" { close(descriptor) } }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw unreadable(path) }
      guard count > 0 else { return bytes }
      bytes += chunk[..<count]
      guard bytes.count <= largest else {
        throw Failure(.wrongData, "\(name(of: path)): expected at most \(largest) bytes, got more")
      }
    }
  }

  private static func unreadable(_ path: String) -> Failure {
    Failure(.noInput, "\(name(of: path)): cannot be read: \(String(cString: strerror(errno)))")
  }
}
