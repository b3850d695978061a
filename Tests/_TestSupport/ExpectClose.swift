import RoutingCore
import Testing

/// How far apart two numbers are, in units in the last place of the expected one.
///
/// *Edge cases*: equal values, zeros of either sign, equal infinities and two NaN are 0 apart; a NaN, or an
/// infinity, against anything else is infinitely far. Near zero the unit is that of the smallest normal
/// number's binade downwards, i.e. subnormal units.
public func ulps(from actual: Double, to expected: Double) -> Double {
  if actual == expected || (actual.isNaN && expected.isNaN) { return 0 }
  guard actual.isFinite, expected.isFinite else { return .infinity }
  return ((actual - expected) / expected.ulp).magnitude
}

/// The error of a vector relative to a scale: `max_k |actual_k − expected_k| / max(max_k |expected_k|,
/// scale)`.
///
/// *Edge cases*: 0 where both are zero or equal, even if the scale is 0; infinite where the lengths differ or
/// a number is not finite.
public func relativeError(of actual: [Double], from expected: [Double], scale: Double = 0) -> Double {
  guard actual.count == expected.count, (actual + expected).allSatisfy(\.isFinite) else { return .infinity }
  let difference = zip(actual, expected).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
  if difference == 0 { return 0 }
  return difference / max(expected.reduce(0) { max($0, $1.magnitude) }, scale)
}

/// Expects a number to be within some units in the last place of another.
///
/// - Parameters:
///   - ulps: the largest distance allowed, in units in the last place of `expected`.
///   - inputs: what the number was computed from, for the message.
public func expectClose(
  _ actual: Double, _ expected: Double, ulps bound: Double, _ inputs: @autoclosure () -> String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let distance = ulps(from: actual, to: expected)
  guard !(distance <= bound) else { return }
  Issue.record(
    "\(actual) is \(distance.shortest) ulps from \(expected), allowed \(bound); \(inputs())",
    sourceLocation: sourceLocation)
}

/// Expects a number to be within an absolute tolerance of another; NaN and infinities must be matched.
public func expectClose(
  _ actual: Double, _ expected: Double, within tolerance: Double, _ inputs: @autoclosure () -> String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  if actual == expected || (actual.isNaN && expected.isNaN) { return }
  guard !((actual - expected).magnitude <= tolerance) else { return }
  Issue.record(
    """
    \(actual) is \((actual - expected).shortest) from \(expected), allowed \(tolerance.shortest); \(inputs())
    """,
    sourceLocation: sourceLocation)
}

/// Expects vectors to agree relative to a scale (see ``relativeError(of:from:scale:)``).
///
/// - Parameters:
///   - relative: the largest error allowed.
///   - scale: what the error may be relative to where the expected vector is smaller.
///   - collector: keeps the worst error under `quantity`.
public func expectClose(
  _ actual: [Double], _ expected: [Double], relative bound: Double, scale: Double = 0,
  to collector: WorstError? = nil, quantity: String = "", _ inputs: @autoclosure () -> String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let error = relativeError(of: actual, from: expected, scale: scale)
  collector?.record(error, of: quantity, at: inputs())
  guard !(error <= bound) else { return }
  Issue.record(
    """
    \(quantity) \(actual) is not \(expected): error \(error.shortest) relative to the larger of its largest \
    coordinate and \(scale.shortest), allowed \(bound.shortest); \(inputs())
    """, sourceLocation: sourceLocation)
}
