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
      let count = read(descriptor, &chunk, chunk.count)
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
