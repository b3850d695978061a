import RoutingCore
import SystemPackage

/// Files that are read.
package enum FileReading {
  /// Larger files are refused.
  package static let largest = 1 << 32
  /// What is no regular file may have no end: more than this is refused, so that reading a device by mistake ends.
  package static let largestStream = 1 << 30

  /// What a file holds.
  ///
  /// - Parameter limit: the most bytes that are read; of what is no regular file no more than ``largestStream``.
  /// - Throws: `Refusal` if it cannot be read, or is larger.
  package static func bytes(of name: String, atMost limit: Int = largest) throws(Refusal) -> [UInt8] {
    let descriptor = try open(name)
    defer { try? descriptor.close() }
    let isFile = FileSystem.status(of: descriptor)?.isFile ?? false
    return try bytes(from: descriptor, named: name, atMost: isFile ? limit : min(limit, largestStream))
  }

  /// What is left to read from a descriptor.
  package static func bytes(
    from descriptor: FileDescriptor, named name: String, atMost limit: Int
  ) throws(Refusal) -> [UInt8] {
    var bytes: [UInt8] = []
    // What is known to come has its place at once: an array that grows is there twice.
    if FileSystem.status(of: descriptor)?.isFile == true, let start = try? descriptor.seek(offset: 0, from: .current),
      let end = try? descriptor.seek(offset: 0, from: .end), (try? descriptor.seek(offset: start, from: .start)) != nil
    {
      bytes.reserveCapacity(min(max(Int(end - start), 0), limit) + 1)
    }
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count: Int
      do { count = try chunk.withUnsafeMutableBytes { try descriptor.read(into: $0) } } catch {
        throw unreadable(name, error)
      }
      guard count > 0 else { return bytes }
      bytes += chunk[..<count]
      guard bytes.count <= limit else {
        throw Refusal(.wrongData, "\(name): expected at most \(limit) bytes, got more")
      }
    }
  }

  /// Opens a file to read.
  package static func open(_ name: String) throws(Refusal) -> FileDescriptor {
    do { return try FileDescriptor.open(FilePath(named: name), .readOnly, options: .closeOnExec) } catch {
      throw unreadable(name, error)
    }
  }

  /// What to say of a file that cannot be read.
  package static func unreadable(_ name: String, _ error: any Error) -> Refusal {
    Refusal(.noInput, "\(FileName.shown(name)): cannot be read: \(error)")
  }
}

/// The bytes of a file, or of standard input, piece by piece.
package final class FileSource: ByteSource {
  private let descriptor: FileDescriptor
  private let name: String
  /// Whether it is a regular file, which can be opened again and skipped in.
  package let isFile: Bool

  /// Opens a file.
  package init(_ name: String) throws(Refusal) {
    self.name = name
    descriptor = try FileReading.open(name)
    isFile = FileSystem.status(of: descriptor)?.isFile ?? false
  }

  private init(_ descriptor: FileDescriptor, _ name: String) {
    (self.descriptor, self.name) = (descriptor, name)
    isFile = false
  }

  /// Standard input.
  package static var standardInput: FileSource { FileSource(.standardInput, "standard input") }

  deinit { if descriptor != .standardInput { try? descriptor.close() } }

  package func read(into buffer: UnsafeMutableRawBufferPointer) throws(Refusal) -> Int {
    do { return try descriptor.read(into: buffer) } catch { throw FileReading.unreadable(name, error) }
  }

  package func skip(_ count: Int) -> Bool {
    isFile && (try? descriptor.seek(offset: Int64(count), from: .current)) != nil
  }
}
