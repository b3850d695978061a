import CStandardLibrary

/// Where results go: all of them or nothing.
///
/// A file is written under another name in the same folder and renamed when it is complete, so that nobody
/// ever sees half of it. What exists and is no regular file (a device, a pipe) is written to directly.
struct Output {
  private let path: String?
  private let descriptor: Int32
  private let file: UnfinishedFile?

  /// Standard output.
  static let standard = Output(path: nil, descriptor: STDOUT_FILENO, file: nil)

  private init(path: String?, descriptor: Int32, file: UnfinishedFile?) {
    self.path = path
    self.descriptor = descriptor
    self.file = file
  }

  /// Opens a file, or standard output for nil.
  ///
  /// - Throws: ``Failure`` if it could not be written.
  init(path: String?) throws(Failure) {
    guard let path else {
      self = .standard
      return
    }
    var status = stat()
    let exists = stat(path, &status) == 0
    guard !exists || status.st_mode & S_IFMT == S_IFREG else {
      self.init(path: path, descriptor: open(path, O_WRONLY | O_CLOEXEC), file: nil)
      if descriptor < 0 { throw unwritable }
      return
    }
    // A symbolic link stays one: what it points to is replaced.
    let target = exists ? Self.resolved(path) : path
    let isWritable = !exists || access(path, W_OK) == 0
    let mode = exists ? status.st_mode & 0o777 : 0o666
    let file = isWritable ? UnfinishedFile(replacing: target, mode: mode) : nil
    self.init(path: path, descriptor: file?.descriptor ?? -1, file: file)
    if file == nil { throw unwritable }
  }

  /// Writes text.
  ///
  /// - Throws: ``Failure`` if not all of it was taken.
  func write(_ text: String) throws(Failure) {
    var text = text
    let isComplete = text.withUTF8 { bytes in
      var start = 0
      while start < bytes.count {
        let count = CStandardLibrary.write(descriptor, bytes.baseAddress.map { $0 + start }, bytes.count - start)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        start += count
      }
      return true
    }
    if !isComplete { throw unwritable }
  }

  /// Writes text and closes; a file stands under its name from now on.
  ///
  /// - Throws: ``Failure`` if it could not be completed; nothing is left then.
  func finish(_ text: String) throws(Failure) {
    try write(text)
    guard path != nil else { return }
    guard file?.complete() ?? (close(descriptor) == 0) else { throw unwritable }
  }

  private var unwritable: Failure {
    Failure(.noOutput, "\(path ?? "standard output"): cannot be written: \(String(cString: strerror(errno)))")
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }
}
