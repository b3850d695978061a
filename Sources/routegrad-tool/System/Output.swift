import CStandardLibrary

/// Where results go: all of them or nothing.
///
/// A file is written under another name in the same folder and renamed when it is complete, so that nobody
/// ever sees half of it. What exists and is no regular file (a device, a pipe) is written to directly.
struct Output {
  private let path: String?
  private let descriptor: Int32
  private let target: String?

  /// Standard output.
  static let standard = Output(path: nil, descriptor: STDOUT_FILENO, target: nil)

  private init(path: String?, descriptor: Int32, target: String?) {
    self.path = path
    self.descriptor = descriptor
    self.target = target
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
      self.init(path: path, descriptor: open(path, O_WRONLY | O_CLOEXEC), target: nil)
      if descriptor < 0 { throw unwritable }
      return
    }
    // A symbolic link stays one: what it points to is replaced.
    let target = exists ? Self.resolved(path) : path
    let folder = target.lastIndex(of: "/").map { String(target[...$0]) } ?? ""
    let temporary = "\(folder).routegrad-\(getpid()).tmp"
    let isWritable = !exists || access(path, W_OK) == 0
    let mode = exists ? status.st_mode & 0o777 : 0o666
    self.init(
      path: path,
      descriptor: isWritable ? open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode) : -1,
      target: target)
    if descriptor < 0 { throw unwritable }
    Interruption.unfinished = strdup(temporary)
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
    guard close(descriptor) == 0 else { throw unwritable }
    guard let target, let temporary = Interruption.unfinished else { return }
    guard rename(temporary, target) == 0 else { throw unwritable }
    Interruption.unfinished = nil
    free(temporary)
  }

  /// Removes what was not finished.
  static func discardUnfinished() {
    if let temporary = Interruption.unfinished { unlink(temporary) }
    if let temporary = Interruption.unfinishedGradients { unlink(temporary) }
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
