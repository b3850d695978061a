import CKernels

/// A running sum that carries its own rounding error (Neumaier's variant of Kahan summation).
///
/// The value is within one rounding of the exact sum of the terms, plus `n² ε²` times the sum of their
/// magnitudes, so the order of the terms does not matter to working precision.
///
/// *Edge cases*: an infinite or NaN term makes the value non-finite, as plain summation would.
///
/// *Source*: A. Neumaier, ZAMM 54 (1974), 39–51.
@usableFromInline
package struct CompensatedSum: Sendable {
  @usableFromInline var total = 0.0
  @usableFromInline var correction = 0.0

  /// An empty sum, of value 0.
  @inlinable
  package init() {}

  /// The sum of the terms added so far.
  @inlinable
  package var value: Double { total + correction }

  /// Adds one term.
  @inlinable
  package static func += (sum: inout CompensatedSum, term: Double) { sum.add(term) }

  /// Adds one term.
  @inlinable
  package mutating func add(_ term: Double) {
    let next = total + term
    if total.magnitude >= term.magnitude {
      correction += (total - next) + term
    } else {
      correction += (term - next) + total
    }
    // An infinite total would turn the correction into NaN and hide which way the sum overflowed.
    if !next.isFinite { correction = 0 }
    total = next
  }
}

/// The compensated inner product `Σ_j a_j b_j` over the common length of two vectors.
///
/// Inlinable, because it is generic: unspecialised it costs callers in other modules many times as much.
///
/// - Precondition: `a` and `b` have the same length.
@inlinable
package func dot(_ a: some Collection<Double>, _ b: some Collection<Double>) -> Double {
  precondition(a.count == b.count, "dot needs vectors of one length, got \(a.count) and \(b.count)")
  let long = a.withContiguousStorageIfAvailable { a in
    b.withContiguousStorageIfAvailable { b in a.count < 32 ? nil : longDot(a, b) }
  }
  if case .some(.some(.some(let sum))) = long { return sum }
  var sum = CompensatedSum()
  for (x, y) in zip(a, b) { sum += x * y }
  return sum.value
}

/// The same of long vectors: many compensated sums side by side, in vectors.
@usableFromInline
func longDot(_ a: UnsafeBufferPointer<Double>, _ b: UnsafeBufferPointer<Double>) -> Double {
  var (total, correction) = (0.0, 0.0)
  rg_compensated_dot(a.count, a.baseAddress, b.baseAddress, &total, &correction)
  // Of a total that is infinite, or NaN, there is no correction.
  return total.isFinite ? total + correction : total
}

/// `max_j |a_j − b_j|` over the common length; NaN if a difference is not a number.
package func largestDifference(_ a: [Double], _ b: [Double]) -> Double {
  zip(a, b).reduce(0) { largest, pair in
    let difference = (pair.0 - pair.1).magnitude
    return difference <= largest ? largest : difference
  }
}

/// The Euclidean norm `‖v‖`, scaled by the largest magnitude so that squares neither overflow nor underflow.
package func norm(_ v: [Double]) -> Double {
  let largest = v.reduce(0) { Swift.max($0, $1.magnitude) }
  guard largest > 0, largest.isFinite else { return largest }
  var sum = CompensatedSum()
  for x in v { sum += (x / largest) * (x / largest) }
  return largest * sum.value.squareRoot()
}
