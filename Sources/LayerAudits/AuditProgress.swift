import Synchronization

/// Counts the steps of an audit.
final class AuditProgress: Sendable {
  private let report: @Sendable (Int, Int) -> Void
  private let done = Atomic(0)
  private let steps: Int

  /// - Parameters:
  ///   - report: told how many steps are done of how many, from any thread.
  ///   - steps: how many there will be.
  init(_ report: @escaping @Sendable (Int, Int) -> Void, steps: Int) {
    self.report = report
    self.steps = steps
  }

  /// One more is done.
  @Sendable func advance() { report(done.add(1, ordering: .relaxed).newValue, steps) }
}
