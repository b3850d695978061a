import RouteGrad
import SystemPackage

/// Where results go: a file, all of it or nothing (`AtomicFile`), or standard output.
struct Output {
  private let file: AtomicFile?

  /// Standard output.
  static let standard = Output(file: nil)

  private init(file: AtomicFile?) { self.file = file }

  /// Opens a file, or standard output for nil.
  ///
  /// - Throws: `Refusal` if it could not be written.
  init(path: String?) throws(Refusal) {
    guard let path else {
      self = .standard
      return
    }
    self.init(file: try AtomicFile(replacing: path))
  }

  /// Writes text.
  ///
  /// - Throws: `Refusal` if not all of it was taken.
  func write(_ text: String) throws(Refusal) {
    if let file { return try file.write(text.utf8) }
    do { try FileDescriptor.standardOutput.writeAll(text.utf8) } catch {
      throw AtomicFile.unwritable("standard output", error)
    }
  }

  /// Writes bytes and closes; a file stands under its name from now on.
  ///
  /// - Throws: `Refusal` if it could not be completed; nothing is left then.
  func finish(_ bytes: [UInt8]) throws(Refusal) {
    if let file {
      try file.write(bytes)
      return try file.finish()
    }
    do { try FileDescriptor.standardOutput.writeAll(bytes) } catch {
      throw AtomicFile.unwritable("standard output", error)
    }
  }

  /// Writes text and closes; a file stands under its name from now on.
  ///
  /// - Throws: `Refusal` if it could not be completed; nothing is left then.
  func finish(_ text: String) throws(Refusal) {
    try write(text)
    try file?.finish()
  }
}
