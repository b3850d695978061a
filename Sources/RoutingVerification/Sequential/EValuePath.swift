/// How an e-value came about: its logarithm after ever more samples.
///
/// It holds at most ``mostPoints`` looks, evenly spread over those that there were (they themselves lie ever farther apart), and always the last
/// one. Which these are depends on the samples alone, not on how they were handed over.
package struct EValuePath: Sendable, Equatable {
  /// A look at the evidence.
  package struct Point: Sendable, Equatable {
    /// The samples until then.
    package var samples: Int
    /// The logarithm of the e-value; ±∞ is possible.
    package var logEValue: Double

    package init(samples: Int, logEValue: Double) {
      self.samples = samples
      self.logEValue = logEValue
    }
  }

  /// More are not kept.
  package static let mostPoints = 200

  private var kept: [Point] = []
  private var last: Point?
  private var looks = 0
  /// One of so many looks is kept.
  private var stride = 1

  package init() {}

  /// The looks that are kept, in their order.
  package var points: [Point] { kept + (last.map { kept.last == $0 ? [] : [$0] } ?? []) }

  /// Adds a look; one at no more samples than the one before takes its place.
  package mutating func add(_ point: Point) {
    if let last, last.samples == point.samples {
      if kept.last == last { kept[kept.count - 1] = point }
      self.last = point
      return
    }
    last = point
    defer { looks += 1 }
    guard looks % stride == 0 else { return }
    kept.append(point)
    guard kept.count == Self.mostPoints else { return }
    kept = kept.indices.filter { $0 % 2 == 0 }.map { kept[$0] }
    stride *= 2
  }
}
