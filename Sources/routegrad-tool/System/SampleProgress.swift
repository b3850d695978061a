import CStandardLibrary

/// Counts samples on standard error, if that is a terminal, at most five times a second.
final class SampleProgress {
  private let isShown: Bool
  private var next = SampleProgress.now + 0.2
  private var hasShown = false

  /// Shows nothing yet.
  init(isShown: Bool) { self.isShown = isShown && isatty(STDERR_FILENO) == 1 }

  /// So many samples were looked at.
  func show(_ count: Int) {
    guard isShown, Self.now >= next else { return }
    next = Self.now + 0.2
    hasShown = true
    Terminal.show("\r\(count) samples")
  }

  /// Takes the line away.
  func clear() {
    if hasShown { Terminal.show("\r\u{1B}[K") }
  }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
