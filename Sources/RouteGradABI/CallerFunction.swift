import CRouteGrad
import RouteGrad

/// An objective or loss that the caller evaluates.
///
/// It is called on the caller's own thread only (see ``ProblemHandle/computing(_:)``), so how it failed is kept with that
/// thread; after a failure it is not called again, and the numbers that the computation goes on with, zeros, reach nobody.
struct CallerFunction: Objective, @unchecked Sendable {
  let dimension: Int
  /// What it is, for messages: `loss`.
  let role: String
  let function: rg_function
  let context: UnsafeMutableRawPointer?

  func value(at point: [Double]) -> Double { evaluate(at: point).value }

  func gradient(at point: [Double]) -> [Double] { evaluate(at: point).gradient }

  /// One call for each ray's end, which serves the slope at c = 1 too, and one for each other node.
  func rays(
    directions: Span<Double>, multipliers: Span<Double>, nodes: Span<Double>, values: inout MutableSpan<Double>,
    slopes: inout MutableSpan<Double>
  ) {
    for i in multipliers.indices {
      let direction = (0..<dimension).map { directions[i * dimension + $0] }
      let end = evaluate(at: direction.map { multipliers[i] * $0 })
      values[i] = end.value
      for k in nodes.indices {
        let position = nodes[k] * multipliers[i]
        let gradient = nodes[k] == 1 ? end.gradient : evaluate(at: direction.map { position * $0 }).gradient
        slopes[k * multipliers.count + i] = dot(gradient, direction)
      }
    }
  }

  private func evaluate(at point: [Double]) -> (value: Double, gradient: [Double]) {
    let zero = (value: 0.0, gradient: [Double](repeating: 0, count: dimension))
    let state = ThreadState.current
    guard state.goesOn else { return zero }
    var value = Double.nan
    var gradient = [Double](repeating: .nan, count: dimension)
    let status = function(context, point, dimension, &value, &gradient)
    guard status == 0 else {
      state.ending = Failure(RG_CALLBACK_FAILED, "the \(role) function failed with status \(status)")
      return zero
    }
    guard value.isFinite, gradient.allSatisfy(\.isFinite) else {
      let place = gradient.firstIndex { !$0.isFinite }
      let found = value.isFinite ? place.map { "gradient[\($0)] = \(gradient[$0])" } ?? "" : "the value \(value)"
      state.ending = Failure(
        RG_CALLBACK_NOT_FINITE,
        "the \(role) function: expected finite numbers, got \(found) at \(Self.words(point))")
      return zero
    }
    return (value, gradient)
  }

  /// A point, for messages.
  private static func words(_ point: [Double]) -> String {
    "[\(point.prefix(8).map { "\($0)" }.joined(separator: ", "))\(point.count > 8 ? ", …" : "")]"
  }
}

extension ProblemHandle {
  /// Runs a computation on this problem; why it had to end, if it had to, comes before whatever else it came to.
  ///
  /// The caller's function may itself call the library, hence the saved state.
  func computing<Result>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    let state = ThreadState.current
    let outer = state.ending
    state.ending = nil
    defer { state.ending = outer }
    do throws(Failure) {
      let result = try body()
      if let ending = state.ending { throw ending }
      return result
    } catch {
      throw state.ending ?? error
    }
  }

  /// Whether the computation that is going on should go on; asked on the caller's thread.
  var goesOn: Bool { ThreadState.current.goesOn }

  /// The threads to use: the caller's function is called on the caller's thread only.
  func threads(_ asked: Int) -> Int { function == nil ? asked : 1 }
}
