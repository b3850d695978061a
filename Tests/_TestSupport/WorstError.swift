import Foundation
import Synchronization
import Testing

/// The largest error of each quantity over many comparisons, and where it occurred. Numbers in
/// docs/numerics.md are quoted from what this prints.
public final class WorstError: Sendable {
  /// One quantity's record.
  public struct Record: Sendable, Equatable {
    /// The largest error.
    public var error: Double
    /// Where it occurred.
    public var place: String
    /// How many comparisons there were.
    public var comparisons: Int
  }

  private let title: String
  private let records = Mutex<[String: Record]>([:])

  /// An empty collection.
  ///
  /// - Parameter title: what stands in front of every line printed.
  public init(_ title: String) { self.title = title }

  /// Takes note of an error; NaN counts as infinite.
  public func record(_ error: Double, of quantity: String, at place: @autoclosure () -> String) {
    let size = error.isNaN ? Double.infinity : error.magnitude
    records.withLock { records in
      guard var record = records[quantity] else {
        records[quantity] = Record(error: size, place: place(), comparisons: 1)
        return
      }
      record.comparisons += 1
      if size > record.error {
        record.error = size
        record.place = place()
      }
      records[quantity] = record
    }
  }

  /// A quantity's record so far.
  public subscript(quantity: String) -> Record? { records.withLock { $0[quantity] } }

  /// One line for each quantity, by name.
  public var summary: String {
    records.withLock { records in
      records.sorted { $0.key < $1.key }.map { quantity, record in
        "worst error | \(title) | \(quantity) | \(record.error.shortest) | \(record.place) | "
          + "\(record.comparisons) comparisons"
      }.joined(separator: "\n")
    }
  }
}

extension Double {
  /// Three significant digits: 1.23e-15.
  public var shortest: String {
    guard self != 0, isFinite else { return "\(self)" }
    return String(format: "%.2e", self)
  }
}

/// Prints a suite's worst errors once all its tests have run.
public struct WorstErrorReport: SuiteTrait, TestScoping {
  let collector: WorstError

  public func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await function()
    if !collector.summary.isEmpty { print(collector.summary) }
  }
}

extension Trait where Self == WorstErrorReport {
  /// Prints the worst errors that `collector` holds when the suite is done.
  public static func reporting(_ collector: WorstError) -> Self { WorstErrorReport(collector: collector) }
}
