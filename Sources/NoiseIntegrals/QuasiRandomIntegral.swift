import GSLNumerics
import RoutingCore

/// Integrals over the unit cube by Sobol points under random shifts, with standard errors from the shifts.
///
/// Every shift gives an unbiased estimate, so their spread is an honest error however rough the integrand
/// is. Beyond the dimensions of Sobol's sequence the coordinates are random numbers, which keeps that true.
///
/// The shifts are those of a fixed seed, each from a stream of its own: the same integral gives the same
/// bytes on any number of threads.
///
/// *Source*: Cranley and Patterson, SIAM J. Numer. Anal. 13 (1976) 904–914.
struct QuasiRandomIntegral: Sendable {
  /// The number of coordinates.
  var dimension: Int
  /// Points for each shift; a power of two serves Sobol's sequence best.
  var points: Int
  /// The number of shifts.
  var shifts = 16
  /// The seed.
  var seed: UInt64 = 0x5eed

  /// The largest power of two of points, from 16 to 2¹⁵, for which all shifts together cost no more than a
  /// budget.
  ///
  /// - Parameter cost: of a point, in the units of `budget`.
  static func points(budget: Double, cost: Double, shifts: Int = 16) -> Int {
    var points = 16
    while points < 1 << 15, Double(2 * points * shifts) * cost <= budget { points *= 2 }
    return points
  }

  /// Means and their standard errors, `[count]`.
  ///
  /// - Parameters:
  ///   - count: the number of integrals.
  ///   - body: adds the integrands at a point (coordinates in the open unit interval) to the sums.
  ///   - continuing: told after every shift how many points there were; false calls the integrals off.
  /// - Throws: `GSLError` if GSL fails, or the integrals were called off.
  func means(
    count: Int, threads: Int, continuing: (_ points: Int) -> Bool = { _ in true },
    _ body: @escaping @Sendable (_ point: [Double], _ sums: inout [Double]) -> Void
  ) throws(GSLError) -> (means: [Double], errors: [Double]) {
    func isWanted(_ done: Int) -> Bool { continuing(done * points) }
    let parts = parallelMap(0..<shifts, threads: threads, continuing: isWanted) { shift in
      Result { () throws(GSLError) in try mean(shift: shift, count: count, body) }
    }
    guard let parts else { throw GSLError(calledOff: "quasi-random integration") }
    var rows: [[Double]] = []
    for part in parts { rows.append(try part.get()) }
    let n = Double(shifts)
    var means = [Double](repeating: 0, count: count)
    var errors = means
    for e in 0..<count {
      means[e] = rows.reduce(0) { $0 + $1[e] } / n
      let deviations = rows.map { $0[e] - means[e] }
      let squares = deviations.reduce(0) { $0 + $1 * $1 }
      // Squares of what is very large or small leave Float64; the norm scales.
      errors[e] =
        (0x1p-900...0x1p900).contains(squares)
        ? (squares / (n * (n - 1))).squareRoot() : norm(deviations) / (n * (n - 1)).squareRoot()
    }
    return (means, errors)
  }

  private func mean(
    shift: Int, count: Int, _ body: (_ point: [Double], _ sums: inout [Double]) -> Void
  ) throws(GSLError) -> [Double] {
    let regular = min(dimension, SobolSequence.largestDimension)
    let sequence = try SobolSequence(dimension: max(regular, 1))
    var generator = Philox(seed: seed, stream: UInt64(shift))
    let offsets = (0..<regular).map { _ in generator.nextOpenUnit() }
    var sums = [Double](repeating: 0, count: count)
    var point = [Double](repeating: 0, count: dimension)
    for _ in 0..<points {
      let next = try sequence.next()
      for k in 0..<regular {
        let x = next[k] + offsets[k]
        point[k] = min(max(x < 1 ? x : x - 1, 0x1p-53), 1 - 0x1p-53)
      }
      for k in regular..<max(dimension, regular) { point[k] = generator.nextOpenUnit() }
      body(point, &sums)
    }
    return sums.map { $0 / Double(points) }
  }
}
