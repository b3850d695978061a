import FileFormats
import RoutingCore
import SystemPackage

/// Files as runs need them.
enum RunFiles {
  /// Length and CRC-32 of a file, by which a run knows the files again that it began with.
  static func fingerprint(of bytes: [UInt8]) -> String {
    "\(bytes.count) bytes, crc32 \(String(crc32(of: bytes), radix: 16))"
  }

  /// Gives the file `name` of a folder new content.
  static func replace(_ name: String, in folder: String, with bytes: [UInt8]) throws(Refusal) {
    let file = try AtomicFile(replacing: "\(folder)/\(name)", through: .suffix(temporarySuffix))
    try file.write(bytes)
    try file.finish()
  }

  /// What a write that was cut off leaves behind ends with this.
  static let temporarySuffix = ".tmp"

  /// The names in a folder, sorted; nil if it cannot be read.
  static func names(in folder: String) -> [String]? { try? FileSystem.names(in: FilePath(named: folder)) }

  static func remove(_ path: String) { FileSystem.remove(FilePath(named: path)) }

  /// Makes a folder and those above it.
  static func makeFolder(_ path: String) throws(Refusal) {
    let whole = FilePath(named: path)
    do throws(Errno) {
      var prefix = FilePath(root: whole.root, [])
      for part in whole.components {
        prefix.append(part)
        try FileSystem.makeFolder(prefix)
      }
    } catch {
      throw AtomicFile.unwritable(path, error)
    }
    guard FileSystem.status(of: whole)?.isFolder ?? false else {
      throw Refusal(.noOutput, "\(path): cannot be written: it is no folder")
    }
  }
}
