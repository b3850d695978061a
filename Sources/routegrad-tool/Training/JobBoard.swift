import CStandardLibrary
import RouteGrad
import RouteGradTraining
import Synchronization

/// A line for every running job on standard error, with loss and time left, and one for all; if that is a terminal.
final class JobBoard: Sendable {
  private let names: [String]
  private let isShown: Bool
  private let state = Mutex(State())
  private let start = ContinuousClock.now

  private struct State {
    var running: [(job: Int, since: ContinuousClock.Instant, text: String)] = []
    var done = 0
    var lines = 0
    var due = ContinuousClock.now + .milliseconds(200)
  }

  init(_ names: [String], isShown: Bool) {
    self.names = names
    self.isShown = isShown && isatty(STDERR_FILENO) == 1
  }

  /// A job made a step, or is done (nil); from any thread.
  @Sendable func show(_ job: Int, _ progress: Trainer.Progress?) {
    guard isShown else { return }
    state.withLock { state in
      let place = state.running.firstIndex { $0.job == job }
      if let progress {
        let since = place.map { state.running[$0].since } ?? .now
        let entry = (job: job, since: since, text: progress.line(since: since))
        if let place { state.running[place] = entry } else { state.running.append(entry) }
      } else {
        if let place { state.running.remove(at: place) }
        state.done += 1
      }
      guard ContinuousClock.now >= state.due else { return }
      state.due = .now + .milliseconds(200)
      redraw(&state)
    }
  }

  private func redraw(_ state: inout State) {
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    let left = state.done > 0 ? elapsed / Double(state.done) * Double(names.count - state.done) : nil
    var lines = state.running.map { "\(names[$0.job]): \($0.text)" }
    lines.append("\(state.done)/\(names.count) runs" + (left.map { ", \(Int($0.rounded(.up))) s left" } ?? ""))
    Terminal.show(Self.back(state.lines) + lines.map { "\($0)\n" }.joined())
    state.lines = lines.count
  }

  /// Takes the lines away.
  func clear() {
    state.withLock { state in
      Terminal.show(Self.back(state.lines))
      state.lines = 0
    }
  }

  /// Up to the first of some lines, and all below erased.
  private static func back(_ lines: Int) -> String { lines > 0 ? "\u{1B}[\(lines)A\r\u{1B}[J" : "" }
}
