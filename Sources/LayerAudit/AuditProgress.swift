import Synchronization

/// Counts the steps of an audit.
final class AuditProgress: Sendable {
  private let report: @Sendable (Int, Int) -> Void
  private let done = Atomic(0)
  private let all = Atomic(0)

  init(_ report: @escaping @Sendable (Int, Int) -> Void) { self.report = report }

  /// Says how many steps there will be.
  func expect(_ count: Int) { all.store(count, ordering: .relaxed) }

  /// One more is done.
  @Sendable func advance() { advance(1) }

  /// Several are done, or were not needed.
  func advance(_ count: Int) {
    report(done.add(count, ordering: .relaxed).newValue, all.load(ordering: .relaxed))
  }
}
