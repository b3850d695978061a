import CStandardLibrary
import Synchronization

/// Says on standard error how much is done, if that is a terminal and it takes long enough to be read.
final class Progress: Sendable {
  private let total = Atomic(1)
  private let isShown: Bool
  private let state = Mutex(State(done: 0, due: .now + patience))

  private struct State {
    var done: Double
    /// When the line may be shown next.
    var due: ContinuousClock.Instant
    var isVisible = false
  }

  /// What takes less is not worth a line.
  private static let patience = Duration.milliseconds(200)
  /// The time between two lines.
  private static let interval = Duration.milliseconds(100)

  /// Shows nothing yet.
  init(isShown: Bool) {
    self.isShown = isShown && isatty(STDERR_FILENO) == 1
  }

  /// There are so many problems.
  func begin(total: Int) { self.total.store(max(total, 1), ordering: .relaxed) }

  /// So many more problems, or so much of one, are done; from any thread.
  @Sendable func advance(by share: Double) {
    guard isShown else { return }
    state.withLock { state in
      state.done += share
      let now = ContinuousClock.now
      guard now >= state.due else { return }
      state.due = now + Self.interval
      state.isVisible = true
      let total = total.load(ordering: .relaxed)
      let percent = Int(100 * min(state.done / Double(total), 1))
      Terminal.show("\r\(percent) % of \(total) problem\(total == 1 ? "" : "s")")
    }
  }

  /// Takes the line away.
  func clear() {
    state.withLock { state in
      if state.isVisible { Terminal.show("\r\u{1B}[K") }
      state.isVisible = false
    }
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
