import CStandardLibrary
import RouteGrad

/// The bytes of a file, or of standard input for `-`.
final class FileSource: ByteSource {
  private let descriptor: Int32
  private let path: String
  /// Whether it is a regular file, which can be opened again and skipped in.
  let isFile: Bool

  init(_ path: String) throws(SampleError) {
    self.path = path
    descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    var status = stat()
    isFile = path != "-" && descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    if descriptor < 0 { throw unreadable }
  }

  deinit { if path != "-", descriptor >= 0 { close(descriptor) } }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws(SampleError) -> Int {
    while true {
      let count = CStandardLibrary.read(descriptor, buffer.baseAddress, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw unreadable }
      return count
    }
  }

  func skip(_ count: Int) -> Bool { isFile && lseek(descriptor, count, SEEK_CUR) >= 0 }

  private var unreadable: SampleError {
    SampleError(.noInput, "\(Input.name(of: path)): cannot be read: \(String(cString: strerror(errno)))")
  }
}
