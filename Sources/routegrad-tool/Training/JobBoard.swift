import RouteGrad
import RouteGradTraining
import Synchronization

/// A line for every running job, with loss and time left, and one for all.
final class JobBoard: Sendable {
  private let names: [String]
  private let line: ProgressLine
  private let state = Mutex(State())
  private let start = ContinuousClock.now

  private struct State {
    var running: [(job: Int, since: ContinuousClock.Instant, progress: Trainer.Progress)] = []
    var done = 0
  }

  init(_ names: [String], isShown: Bool) {
    self.names = names
    line = ProgressLine(isShown: isShown)
  }

  /// A job made a step, or is done (nil); from any thread.
  @Sendable func show(_ job: Int, _ progress: Trainer.Progress?) {
    state.withLock { state in
      let place = state.running.firstIndex { $0.job == job }
      if let progress {
        let since = place.map { state.running[$0].since } ?? .now
        let entry = (job: job, since: since, progress: progress)
        if let place { state.running[place] = entry } else { state.running.append(entry) }
      } else {
        if let place { state.running.remove(at: place) }
        state.done += 1
      }
      line.show(text(of: state))
    }
  }

  private func text(of state: borrowing State) -> String {
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    let left = state.done > 0 ? elapsed / Double(state.done) * Double(names.count - state.done) : nil
    let jobs = state.running.map { "\(names[$0.job]): \($0.progress.line(since: $0.since))\n" }
    return jobs.joined() + "\(state.done)/\(names.count) runs" + (left.map { ", \(Int($0.rounded(.up))) s left" } ?? "")
  }

  /// Takes the lines away.
  func clear() { line.clear() }
}
