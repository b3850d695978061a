import Glibc
import Synchronization

/// Counts what is done on standard error, if that is a terminal.
final class Progress: Sendable {
  private let total: Int
  private let isShown: Bool
  private let done = Atomic(0)

  /// Shows nothing yet.
  init(total: Int, isShown: Bool) {
    self.total = total
    self.isShown = isShown && total > 1 && isatty(STDERR_FILENO) == 1
  }

  /// One more is done; from any thread.
  @Sendable func advance() {
    let count = done.add(1, ordering: .relaxed).newValue
    if isShown { Terminal.show("\r\(count) of \(total) problems") }
  }

  /// Takes the line away.
  func clear() {
    if isShown { Terminal.show("\r\u{1B}[K") }
  }
}
