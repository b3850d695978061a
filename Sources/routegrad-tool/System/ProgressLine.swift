import CStandardLibrary
import Synchronization

/// Says on standard error how much is done, if that is a terminal and it takes long enough to be read.
final class ProgressLine: Sendable {
  private let isShown: Bool
  private let state = Mutex(State(due: .now + pause))

  private struct State {
    /// When something may be shown next.
    var due: ContinuousClock.Instant
    /// The number of lines that are shown.
    var lines = 0
  }

  /// What takes less is not worth a line; nor is what would be read for a shorter time.
  private static let pause = Duration.milliseconds(200)

  /// Shows nothing yet.
  init(isShown: Bool) { self.isShown = isShown && isatty(STDERR_FILENO) == 1 }

  /// Shows one line or several in place of those before, unless it is too soon; from any thread.
  func show(_ text: @autoclosure () -> String) {
    guard isShown else { return }
    state.withLock { state in
      guard ContinuousClock.now >= state.due else { return }
      state.due = .now + Self.pause
      let text = text()
      Terminal.show(Self.erasure(of: state.lines) + text)
      state.lines = text.count { $0 == "\n" } + 1
    }
  }

  /// Takes away what is shown.
  func clear() {
    state.withLock { state in
      if state.lines > 0 { Terminal.show(Self.erasure(of: state.lines)) }
      state.lines = 0
    }
  }

  /// Back to the first of some lines, and all of them erased.
  private static func erasure(of lines: Int) -> String {
    lines > 1 ? "\u{1B}[\(lines - 1)A\r\u{1B}[J" : "\r\u{1B}[K"
  }
}
