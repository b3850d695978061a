import RouteGrad

/// Files that are read.
enum Input {
  /// Larger files are refused, so that reading a device by mistake ends.
  static let largest = 1 << 30

  /// What a file is called in messages.
  static func name(of path: String) -> String { path == "-" ? "standard input" : path }

  /// The problems of a file, or of standard input for `-`.
  ///
  /// - Throws: `Refusal` if it cannot be read, `InvalidFile` if it holds no problems.
  static func problems(in path: String) throws -> [FiledProblem] {
    try ProblemFile.problems(of: bytes(of: path), file: name(of: path))
  }

  /// The one problem of a file, or the one with a name.
  ///
  /// - Parameters:
  ///   - path: the file, or `-`.
  ///   - name: the problem's name, if one was asked for.
  ///   - option: the option by which one is asked for, for messages.
  /// - Throws: as ``problems(in:)``, and `Refusal` if it is not exactly one.
  static func problem(in path: String, named name: String?, option: String) throws -> FiledProblem {
    let problems = try problems(in: path)
    let place = Self.name(of: path)
    guard let name else {
      guard problems.count == 1 else {
        throw Refusal(
          .wrongUsage,
          "\(place): expected one problem, got \(problems.count); choose with \(option): \(names(problems))")
      }
      return problems[0]
    }
    let found = problems.filter { $0.problem.name == name }
    guard found.count == 1 else {
      throw Refusal(
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
  static func bytes(of path: String) throws(Refusal) -> [UInt8] {
    guard path == "-" else { return try FileReading.bytes(of: path, atMost: largest) }
    return try FileReading.bytes(from: .standardInput, named: name(of: path), atMost: largest)
  }
}
