import CStandardLibrary
import FileFormats

/// Files as runs need them: read whole, or replaced so that at any moment the old or the new content stands there.
enum RunFiles {
  /// Larger files are refused, so that reading a device by mistake ends.
  private static let largest = 1 << 32

  /// What a file holds.
  static func bytes(of path: String) throws(RunError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(path) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw unreadable(path) }
      guard count > 0 else { return bytes }
      bytes += chunk[..<count]
      guard bytes.count <= largest else {
        throw RunError(.wrongData, "\(path): expected at most \(largest) bytes, got more")
      }
    }
  }

  /// Length and CRC-32 of a file, by which a run knows the files again that it began with.
  static func fingerprint(of bytes: [UInt8]) -> String {
    "\(bytes.count) bytes, crc32 \(String(crc32(of: bytes), radix: 16))"
  }

  /// Writes all bytes, where the descriptor stands.
  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    bytes.withUnsafeBytes { buffer in
      var start = 0
      while start < buffer.count {
        let count = systemWrite(descriptor, buffer.baseAddress.map { $0 + start }, buffer.count - start)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        start += count
      }
      return true
    }
  }

  /// Gives the file `name` of a folder new content: a temporary file beside it, fsync, rename, fsync of the folder.
  static func replace(_ name: String, in folder: String, with bytes: [UInt8]) throws(RunError) {
    let path = "\(folder)/\(name)"
    let temporary = path + temporarySuffix
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw unwritable(path) }
    let isWritten = write(bytes, to: descriptor) && fsync(descriptor) == 0
    let failure = isWritten ? nil : unwritable(path)
    let isClosed = close(descriptor) == 0
    guard failure == nil, isClosed, rename(temporary, path) == 0 else {
      let failure = failure ?? unwritable(path)
      unlink(temporary)
      throw failure
    }
    synchronise(folder: folder)
  }

  /// What a write that was cut off leaves behind ends with this.
  static let temporarySuffix = ".tmp"

  /// The names in a folder, sorted; nil if it cannot be read.
  static func names(in folder: String) -> [String]? {
    guard let directory = opendir(folder) else { return nil }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Makes a folder and those above it.
  static func makeFolder(_ path: String) throws(RunError) {
    var prefix = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      prefix += (prefix.isEmpty || prefix.hasSuffix("/") ? "" : "/") + part
      guard mkdir(prefix, 0o777) == 0 || errno == EEXIST else { throw unwritable(path) }
    }
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw RunError(.noOutput, "\(path): cannot be written: it is no folder")
    }
  }

  /// What a rename has changed in a folder survives the power going off.
  static func synchronise(folder: String) {
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  static func unreadable(_ path: String) -> RunError {
    RunError(.noInput, "\(path): cannot be read: \(String(cString: strerror(errno)))")
  }

  static func unwritable(_ path: String) -> RunError {
    RunError(.noOutput, "\(path): cannot be written: \(String(cString: strerror(errno)))")
  }
}

/// The system's `write`, which ``RunFiles/write(_:to:)`` hides.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
  write(descriptor, bytes, count)
}
