import CStandardLibrary
import RouteGrad
import SystemPackage

/// Files that are read.
enum Input {
  /// Larger files are refused, so that reading a device by mistake ends.
  static let largest = FileReading.largestStream
  /// Layers are larger; a regular file is no device.
  private static let largestLayer = 1 << 34

  /// What a file is called in messages.
  static func name(of path: String) -> String { path == "-" ? "standard input" : path }

  /// The problems of a file, or of standard input for `-`.
  ///
  /// - Throws: `Refusal` if it cannot be read, or holds no problems.
  static func problems(in path: String) throws -> [FiledProblem] {
    try ProblemFile.problems(of: bytes(of: path), file: name(of: path))
  }

  /// Larger files of problems are read piece by piece, twice.
  private static let inMemory = 1 << 23
  private static let piece = 1 << 18

  /// The problems of a file, or of standard input for `-`, which need not fit into memory.
  ///
  /// - Throws: `Refusal` if it cannot be read, or is small and holds no problems.
  static func source(of path: String) throws -> ProblemSource {
    let descriptor = path == "-" ? FileDescriptor.standardInput : try FileReading.open(path)
    let isFile = FileSystem.status(of: descriptor)?.isFile ?? false
    let beginning = isFile ? try descriptor.seek(offset: 0, from: .current) : 0
    var bytes: [UInt8] = []
    while bytes.count <= inMemory {
      let piece = try read(descriptor, path: path)
      if piece.isEmpty {
        if path != "-" { try? descriptor.close() }
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
        offset += Int64(piece.count)
        return piece
      }
    }
  }

  /// The next bytes, none at the end; with an offset those from there on.
  private static func read(
    _ descriptor: FileDescriptor, path: String, at offset: Int64? = nil
  ) throws(Refusal) -> [UInt8] {
    do {
      return try [UInt8](unsafeUninitializedCapacity: piece) { buffer, initialized in
        let bytes = UnsafeMutableRawBufferPointer(buffer)
        initialized =
          try offset.map { try descriptor.read(fromAbsoluteOffset: $0, into: bytes) } ?? descriptor.read(into: bytes)
      }
    } catch {
      throw FileReading.unreadable(name(of: path), error)
    }
  }

  /// A file without a name that holds some bytes and what is left of a stream.
  private static func copy(
    _ bytes: [UInt8], andTheRestOf descriptor: FileDescriptor, path: String
  ) throws(Refusal) -> FileDescriptor {
    guard let stream = tmpfile() else { throw AtomicFile.unwritable("a temporary file", Errno(rawValue: errno)) }
    let file = FileDescriptor(rawValue: fileno(stream))
    var piece = bytes
    var total = 0
    while !piece.isEmpty {
      total += piece.count
      guard total <= largest else {
        throw Refusal(.wrongData, "\(name(of: path)): expected at most \(largest) bytes, got more")
      }
      do { try file.writeAll(piece) } catch { throw AtomicFile.unwritable("a temporary file", error) }
      piece = try read(descriptor, path: path)
    }
    return file
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

  /// The samples of a file, or of standard input for `-`, as a stream.
  ///
  /// - Throws: `Refusal` if it cannot be opened, or does not begin as samples do.
  static func samples(in path: String, coordinates: Int) throws(Refusal) -> SampleStream {
    let source = path == "-" ? FileSource.standardInput : try FileSource(path)
    return try SampleStream(
      source, name: name(of: path), coordinates: coordinates,
      reopen: source.isFile ? { () throws(Refusal) in try FileSource(path) } : nil)
  }

  /// The first names, for messages.
  private static func names(_ problems: [FiledProblem]) -> String {
    let names = problems.compactMap(\.problem.name)
    guard !names.isEmpty else { return "none has a name" }
    return names.prefix(8).joined(separator: ", ") + (names.count > 8 ? ", …" : "")
  }

  /// What a layer's file holds, or standard input for `-`.
  static func layer(of path: String) throws(Refusal) -> [UInt8] {
    guard path != "-" else { return try bytes(of: path) }
    return try FileReading.bytes(of: path, atMost: largestLayer)
  }

  /// What a file holds, or standard input for `-`.
  static func bytes(of path: String) throws(Refusal) -> [UInt8] {
    guard path == "-" else { return try FileReading.bytes(of: path, atMost: largest) }
    return try FileReading.bytes(from: .standardInput, named: name(of: path), atMost: largest)
  }
}
