internal import CGSL

/// Quadrature rules as GSL has them, to hold other tables against.
package enum ReferenceRules {
  /// The n-point Gauss–Legendre rule on [0, 1], nodes in increasing order.
  ///
  /// *Numerics*: GSL has tables for 1 to 20, 32 and 64 points (and some beyond); others it computes to about 1e-10.
  ///
  /// - Throws: ``GSLError`` if n is 0 or GSL has no memory.
  ///
  /// *Source*: GSL manual, "Fixed-point Gauss–Legendre integration".
  package static func gaussLegendre(_ n: Int) throws(GSLError) -> [(node: Double, weight: Double)] {
    GSLRuntime.prepare()
    guard n > 0, let table = gsl_integration_glfixed_table_alloc(n) else {
      throw GSLError(
        code: Int(GSL_EINVAL), operation: "Gauss–Legendre table", reason: "cannot have \(n) points")
    }
    defer { gsl_integration_glfixed_table_free(table) }
    var rule: [(node: Double, weight: Double)] = []
    for k in 0..<n {
      var node = 0.0
      var weight = 0.0
      try GSLRuntime.check(
        gsl_integration_glfixed_point(0, 1, k, &node, &weight, table), "Gauss–Legendre point \(k)")
      rule.append((node, weight))
    }
    return rule
  }

  /// GSL's explicit Runge–Kutta steppers.
  package enum Stepper: Sendable {
    /// The classical fourth-order method, which GSL takes as two half steps for the sake of its error estimate.
    case rk4
    /// Fehlberg's 4(5) pair: the result is of fifth order, the error estimate its difference from the fourth.
    case rkf45
  }

  /// One step from 0 to 1 for `y' = φ(t)`, `y(0) = 0`: what the method's quadrature rule makes of `∫₀¹ φ`.
  ///
  /// - Throws: ``GSLError`` if GSL fails.
  ///
  /// *Source*: GSL manual, "Ordinary Differential Equations", `gsl_odeiv2_step_apply`.
  package static func step(
    _ stepper: Stepper, _ φ: @escaping (Double) -> Double
  ) throws(GSLError) -> NumericalResult {
    GSLRuntime.prepare()
    let type =
      switch stepper {
      case .rk4: rg_gsl_step_rk4()
      case .rkf45: rg_gsl_step_rkf45()
      }
    guard let step = gsl_odeiv2_step_alloc(type, 1) else {
      throw GSLError(code: Int(GSL_ENOMEM), operation: "Runge–Kutta step", reason: "no memory")
    }
    defer { gsl_odeiv2_step_free(step) }
    let box = FunctionBox(φ)
    var system = gsl_odeiv2_system(
      function: { t, _, slope, context in
        guard let context, let slope else { return Int32(GSL_EFAULT) }
        let box = Unmanaged<FunctionBox>.fromOpaque(context).takeUnretainedValue()
        box.evaluations += 1
        slope[0] = box.function(t)
        return Int32(GSL_SUCCESS)
      }, jacobian: nil, dimension: 1, params: Unmanaged.passUnretained(box).toOpaque())
    var y = 0.0
    var error = 0.0
    let status = withExtendedLifetime(box) {
      gsl_odeiv2_step_apply(step, 0, 1, &y, &error, nil, nil, &system)
    }
    try GSLRuntime.check(status, "Runge–Kutta step")
    return NumericalResult(value: y, error: error, evaluations: box.evaluations)
  }
}
