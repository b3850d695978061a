internal import CGSL

/// Adaptive quadrature by GSL: the independent path against which the library's own rules are held.
///
/// No integral takes more evaluations than it is allowed, and one that is called off ends at once: GSL's own limits do not
/// see to that, its `cquad` goes on for ever where an integrand overflows.
package enum Integration {
  /// GSL's adaptive methods for a finite interval.
  package enum Method: Sendable {
    /// 21-point Gauss–Kronrod with bisection and extrapolation, for end-point singularities too (`gsl_integration_qags`).
    case qags
    /// Doubly adaptive Clenshaw–Curtis (`gsl_integration_cquad`): robust and conservative about its error.
    case cquad
  }

  /// The evaluations that an integral may take where no other number is given.
  package static let standardEvaluations = 4_000_000

  /// `∫_a^b f`.
  ///
  /// - Parameters:
  ///   - f: the integrand; finite within (a, b).
  ///   - interval: a and b, finite.
  ///   - absoluteTolerance: the error allowed; the larger of this and the next counts.
  ///   - relativeTolerance: the error allowed relative to the integral.
  ///   - limit: the largest number of subintervals.
  ///   - evaluations: the largest number of evaluations.
  ///   - continuing: told now and then how many evaluations there were; false calls the integral off.
  /// - Throws: ``GSLError`` if the tolerance is out of reach (within the evaluations allowed) or below what GSL takes, or if
  ///   the integral was called off.
  ///
  /// *Source*: GSL manual, "Numerical Integration".
  package static func integrate(
    _ f: (Double) -> Double, over interval: ClosedRange<Double>, method: Method = .qags,
    absoluteTolerance: Double = 0, relativeTolerance: Double = 1e-10, limit: Int = 1000,
    evaluations: Int = standardEvaluations, continuing: (_ evaluations: Int) -> Bool = { _ in true }
  ) throws(GSLError) -> NumericalResult {
    let (a, b) = (interval.lowerBound, interval.upperBound)
    let call = Call(
      rule: method == .qags ? RG_GSL_QAGS : RG_GSL_CQUAD, from: a, to: b, absolute: absoluteTolerance,
      relative: relativeTolerance, limit: limit, evaluations: evaluations)
    switch method {
    case .qags: return try adaptive(f, call, "∫ over [\(a), \(b)] by qags", continuing)
    case .cquad:
      GSLRuntime.prepare()
      let operation = "∫ over [\(a), \(b)] by cquad"
      guard limit >= 3, let workspace = gsl_integration_cquad_workspace_alloc(limit) else {
        throw GSLError(
          code: Int(GSL_EINVAL), operation: operation, reason: "\(limit) subintervals will not do")
      }
      defer { gsl_integration_cquad_workspace_free(workspace) }
      return try run(f, call, UnsafeMutableRawPointer(workspace), operation, continuing)
    }
  }

  /// `∫_a^∞ f` (`gsl_integration_qagiu`).
  ///
  /// - Parameters: as in ``integrate(_:over:method:absoluteTolerance:relativeTolerance:limit:evaluations:continuing:)``.
  /// - Throws: ``GSLError`` if the tolerance is out of reach or below what GSL takes, or if the integral was called off.
  package static func integrate(
    _ f: (Double) -> Double, from a: Double, absoluteTolerance: Double = 0,
    relativeTolerance: Double = 1e-10, limit: Int = 1000, evaluations: Int = standardEvaluations,
    continuing: (_ evaluations: Int) -> Bool = { _ in true }
  ) throws(GSLError) -> NumericalResult {
    let call = Call(
      rule: RG_GSL_QAGIU, from: a, to: .infinity, absolute: absoluteTolerance, relative: relativeTolerance,
      limit: limit, evaluations: evaluations)
    return try adaptive(f, call, "∫ over [\(a), ∞) by qagiu", continuing)
  }

  /// What a rule is called with.
  private struct Call {
    var rule: rg_gsl_rule
    var from: Double
    var to: Double
    var absolute: Double
    var relative: Double
    var limit: Int
    var evaluations: Int
  }

  private static func adaptive(
    _ f: (Double) -> Double, _ call: Call, _ operation: String, _ continuing: (Int) -> Bool
  ) throws(GSLError) -> NumericalResult {
    GSLRuntime.prepare()
    guard call.limit >= 1, let workspace = gsl_integration_workspace_alloc(call.limit) else {
      throw GSLError(
        code: Int(GSL_EINVAL), operation: operation, reason: "\(call.limit) subintervals will not do")
    }
    defer { gsl_integration_workspace_free(workspace) }
    return try run(f, call, UnsafeMutableRawPointer(workspace), operation, continuing)
  }

  private static func run(
    _ f: (Double) -> Double, _ call: Call, _ workspace: UnsafeMutableRawPointer, _ operation: String,
    _ continuing: (Int) -> Bool
  ) throws(GSLError) -> NumericalResult {
    var value = 0.0
    var error = 0.0
    let (status, counted) = withoutActuallyEscaping(f) { f in
      withoutActuallyEscaping(continuing) { continuing in
        let integrand = Integrand(f, limit: call.evaluations, continuing: continuing)
        let status = withExtendedLifetime(integrand) {
          rg_gsl_integrate(
            call.rule, Integrand.evaluate, Unmanaged.passUnretained(integrand).toOpaque(), call.from, call.to,
            call.absolute, call.relative, call.limit, workspace, &value, &error)
        }
        return (status, (evaluations: integrand.evaluations, end: integrand.end))
      }
    }
    if let end = counted.end { throw GSLError(code: Int(GSL_EMAXITER), operation: operation, reason: end) }
    try GSLRuntime.check(status, operation)
    return NumericalResult(value: value, error: error, evaluations: counted.evaluations)
  }
}

/// Lends a Swift closure to GSL's rules, counts, and calls them off.
private final class Integrand {
  private let function: (Double) -> Double
  private let limit: Int
  private let continuing: (Int) -> Bool
  private(set) var evaluations = 0
  /// Why the integral was called off.
  private(set) var end: String?

  /// The evaluations between two questions whether to go on.
  private static let interval = 1 << 12

  init(_ function: @escaping (Double) -> Double, limit: Int, continuing: @escaping (Int) -> Bool) {
    self.function = function
    self.limit = limit
    self.continuing = continuing
  }

  static let evaluate: rg_gsl_integrand = { x, context, stop in
    guard let context else { return .nan }
    return Unmanaged<Integrand>.fromOpaque(context).takeUnretainedValue().value(at: x, stop)
  }

  private func value(at x: Double, _ stop: UnsafeMutablePointer<Int32>?) -> Double {
    if evaluations >= limit {
      end = "no convergence within \(limit) evaluations"
    } else if evaluations % Self.interval == Self.interval - 1, !continuing(evaluations) {
      end = "called off after \(evaluations) evaluations"
    }
    guard end == nil else {
      stop?.pointee = 1
      return .nan
    }
    evaluations += 1
    return function(x)
  }
}
