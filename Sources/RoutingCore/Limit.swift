/// What a setting may be: stated once, beside the setting, for files, the command line and C alike.
package struct Limit<Value: Comparable & Sendable>: Sendable {
  /// What is expected, for messages: `a number above 0`.
  package let expectation: String
  private let holds: @Sendable (Value) -> Bool

  /// A limit that `expectation` describes.
  package init(_ expectation: String, _ holds: @escaping @Sendable (Value) -> Bool) {
    self.expectation = expectation
    self.holds = holds
  }

  /// Whether a value is within it.
  package func contains(_ value: Value) -> Bool { holds(value) }

  /// What to say of a value that is not within it, `expected a number above 0, got -1.0`; nil of one that is.
  package func complaint(about value: Value) -> String? {
    holds(value) ? nil : "expected \(expectation), got \(value)"
  }

  /// - Throws: `InvalidInput` about the field `name` unless its value is within the limit, or nil.
  package func require(_ name: String, _ value: Value?) throws(InvalidInput) {
    if let value, let complaint = complaint(about: value) { throw InvalidInput(name, complaint) }
  }
}

extension Limit<Int> {
  /// Whole numbers of a range.
  package static func whole(_ range: ClosedRange<Int>) -> Self {
    Self("a whole number from \(range.lowerBound) to \(range.upperBound)") { range.contains($0) }
  }
  /// Threads, of which more than there are cores does no harm: the program takes any number for ``mostThreads``.
  package static let threads = Self("at least 1") { $0 >= 1 }
  /// The most threads that a call may ask for.
  package static let mostThreads = 1024
  /// What is counted.
  package static let count = Self("a whole number of at least 0") { $0 >= 0 }
}

extension Limit<Double> {
  /// Any but NaN and infinities.
  package static let finite = Self("a finite number") { $0.isFinite }
  /// Above 0 and finite.
  package static let positive = Self("a finite number above 0") { $0 > 0 && $0.isFinite }
  /// At least 0 and finite.
  package static let notNegative = Self("a finite number of at least 0") { $0 >= 0 && $0.isFinite }
  /// A range with both ends.
  package static func number(_ range: ClosedRange<Double>) -> Self {
    Self("a number from \(words(range.lowerBound)) to \(words(range.upperBound))") { range.contains($0) }
  }
  /// A range without its upper end.
  package static func number(_ range: Range<Double>) -> Self {
    Self("a number from \(words(range.lowerBound)) to below \(words(range.upperBound))") { range.contains($0) }
  }

  /// `1`, not `1.0`.
  private static func words(_ number: Double) -> String { Int(exactly: number).map { "\($0)" } ?? "\(number)" }
}
