internal import CGSL

/// Adaptive quadrature by GSL: the independent path against which the library's own rules are held.
public enum Integration {
  /// GSL's adaptive methods for a finite interval.
  public enum Method: Sendable {
    /// 21-point Gauss–Kronrod with bisection and extrapolation, for end-point singularities too (`gsl_integration_qags`).
    case qags
    /// Doubly adaptive Clenshaw–Curtis (`gsl_integration_cquad`): robust and conservative about its error.
    case cquad
  }

  /// `∫_a^b f`.
  ///
  /// - Parameters:
  ///   - f: the integrand; finite within (a, b).
  ///   - interval: a and b, finite.
  ///   - absoluteTolerance: the error allowed; the larger of this and the next counts.
  ///   - relativeTolerance: the error allowed relative to the integral.
  ///   - limit: the largest number of subintervals.
  /// - Throws: ``GSLError`` if the tolerance is out of reach or below what GSL takes.
  ///
  /// *Source*: GSL manual, "Numerical Integration".
  public static func integrate(
    _ f: @escaping (Double) -> Double, over interval: ClosedRange<Double>, method: Method = .qags,
    absoluteTolerance: Double = 0, relativeTolerance: Double = 1e-10, limit: Int = 1000
  ) throws(GSLError) -> NumericalResult {
    let (a, b) = (interval.lowerBound, interval.upperBound)
    let box = FunctionBox(f)
    switch method {
    case .qags:
      return try adaptive(box, limit: limit, "∫ over [\(a), \(b)] by qags") {
        function, workspace, value, error in
        gsl_integration_qags(
          function, a, b, absoluteTolerance, relativeTolerance, limit, workspace, value, error)
      }
    case .cquad:
      GSLRuntime.prepare()
      let operation = "∫ over [\(a), \(b)] by cquad"
      guard limit >= 3, let workspace = gsl_integration_cquad_workspace_alloc(limit) else {
        throw GSLError(
          code: Int(GSL_EINVAL), operation: operation, reason: "\(limit) subintervals will not do")
      }
      defer { gsl_integration_cquad_workspace_free(workspace) }
      var value = 0.0
      var error = 0.0
      let status = box.withGSLFunction {
        gsl_integration_cquad($0, a, b, absoluteTolerance, relativeTolerance, workspace, &value, &error, nil)
      }
      try GSLRuntime.check(status, operation)
      return NumericalResult(value: value, error: error, evaluations: box.evaluations)
    }
  }

  /// `∫_a^∞ f` (`gsl_integration_qagiu`).
  ///
  /// - Parameters: as in ``integrate(_:over:method:absoluteTolerance:relativeTolerance:limit:)``.
  /// - Throws: ``GSLError`` if the tolerance is out of reach or below what GSL takes.
  public static func integrate(
    _ f: @escaping (Double) -> Double, from a: Double, absoluteTolerance: Double = 0,
    relativeTolerance: Double = 1e-10, limit: Int = 1000
  ) throws(GSLError) -> NumericalResult {
    let box = FunctionBox(f)
    return try adaptive(box, limit: limit, "∫ over [\(a), ∞) by qagiu") {
      function, workspace, value, error in
      gsl_integration_qagiu(
        function, a, absoluteTolerance, relativeTolerance, limit, workspace, value, error)
    }
  }

  private static func adaptive(
    _ box: FunctionBox, limit: Int, _ operation: String,
    _ body: (
      UnsafeMutablePointer<gsl_function>, UnsafeMutablePointer<gsl_integration_workspace>,
      UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>
    ) -> Int32
  ) throws(GSLError) -> NumericalResult {
    GSLRuntime.prepare()
    guard limit >= 1, let workspace = gsl_integration_workspace_alloc(limit) else {
      throw GSLError(code: Int(GSL_EINVAL), operation: operation, reason: "\(limit) subintervals will not do")
    }
    defer { gsl_integration_workspace_free(workspace) }
    var value = 0.0
    var error = 0.0
    let status = box.withGSLFunction { body($0, workspace, &value, &error) }
    try GSLRuntime.check(status, operation)
    return NumericalResult(value: value, error: error, evaluations: box.evaluations)
  }
}
