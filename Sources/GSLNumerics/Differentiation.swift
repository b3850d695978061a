internal import CGSL

/// The derivative of f at x by GSL's adaptive central difference (5-point rule, step chosen from the error estimate).
///
/// - Parameters:
///   - f: the function.
///   - x: where.
///   - step: the first step tried; of the size over which f changes.
/// - Throws: ``GSLError`` if GSL fails.
///
/// *Source*: GSL manual, "Numerical Differentiation", `gsl_deriv_central`.
package func derivative(
  of f: @escaping (Double) -> Double, at x: Double, step: Double = 1e-3
) throws(GSLError) -> NumericalResult {
  GSLRuntime.prepare()
  let box = FunctionBox(f)
  var value = 0.0
  var error = 0.0
  let status = box.withGSLFunction { gsl_deriv_central($0, x, step, &value, &error) }
  try GSLRuntime.check(status, "derivative at \(x)")
  return NumericalResult(value: value, error: error, evaluations: box.evaluations)
}
