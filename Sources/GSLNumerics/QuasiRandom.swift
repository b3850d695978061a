internal import CGSL

/// Sobol's sequence: points of `[0, 1)^d` that fill the cube more evenly than random ones.
///
/// The points are always the same; what uses them shifts them at random, modulo 1, to learn the error.
///
/// *Source*: GSL manual, "Quasi-Random Sequences", `gsl_qrng_sobol` (Bratley and Fox, TOMS 14 (1988)).
package final class SobolSequence {
  /// The largest dimension that GSL has.
  package static let largestDimension = 40
  /// d.
  package let dimension: Int
  private let generator: UnsafeMutablePointer<gsl_qrng>
  private var point: [Double]

  /// The sequence in a dimension, at its beginning.
  ///
  /// - Throws: ``GSLError`` if the dimension is not from 1 to ``largestDimension``, or GSL has no memory.
  package init(dimension: Int) throws(GSLError) {
    GSLRuntime.prepare()
    guard (1...Self.largestDimension).contains(dimension),
      let generator = gsl_qrng_alloc(rg_gsl_qrng_sobol(), UInt32(dimension))
    else {
      throw GSLError(
        code: Int(GSL_EINVAL), operation: "Sobol's sequence",
        reason: "expected a dimension from 1 to \(Self.largestDimension), got \(dimension)")
    }
    self.dimension = dimension
    self.generator = generator
    point = [Double](repeating: 0, count: dimension)
  }

  deinit { gsl_qrng_free(generator) }

  /// The next point, `[dimension]`.
  ///
  /// - Throws: ``GSLError`` past 2³⁰ points.
  package func next() throws(GSLError) -> [Double] {
    try GSLRuntime.check(gsl_qrng_get(generator, &point), "Sobol's sequence")
    return point
  }
}
