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

/// How much of an audit is done, on standard error if that is a terminal.
final class AuditProgressLine: Sendable {
  private let isShown: Bool
  private let shown = Atomic(-1)

  /// Shows nothing yet.
  init(isShown: Bool) { self.isShown = isShown && isatty(STDERR_FILENO) == 1 }

  /// So much of so much is done; from any thread.
  @Sendable func show(_ done: Int, _ all: Int) {
    guard isShown, all > 0 else { return }
    let percent = 100 * done / all
    if shown.exchange(percent, ordering: .relaxed) != percent { Terminal.show("\r\(percent) %") }
  }

  /// Takes the line away.
  func clear() {
    if isShown { Terminal.show("\r\u{1B}[K") }
  }
}
