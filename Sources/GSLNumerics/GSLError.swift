internal import CGSL

/// A failure inside GSL, or input that it does not take.
package struct GSLError: Error, Sendable, Equatable, CustomStringConvertible {
  /// GSL's status code.
  package let code: Int
  /// What was asked.
  package let operation: String
  /// GSL's own words for the code.
  package let reason: String

  /// What is thrown where the caller no longer wants a result.
  package init(calledOff operation: String) {
    self.init(code: Int(GSL_EMAXITER), operation: operation, reason: "called off")
  }

  init(code: Int, operation: String, reason: String) {
    self.code = code
    self.operation = operation
    self.reason = reason
  }

  package var description: String { "GSL: \(operation): \(reason) (status \(code))" }
}

/// GSL's default error handler aborts the process. It is switched off once, before the first call, and every status
/// is turned into a thrown error instead.
enum GSLRuntime {
  private static let handlerIsOff: Void = { gsl_set_error_handler_off() }()

  /// Throws unless `status` is success.
  static func check(_ status: Int32, _ operation: String) throws(GSLError) {
    guard status == GSL_SUCCESS else {
      throw GSLError(code: Int(status), operation: operation, reason: String(cString: gsl_strerror(status)))
    }
  }

  /// Must be called before anything else of GSL.
  static func prepare() { _ = handlerIsOff }
}

/// The version of the GSL that is linked.
package var gslVersion: String { String(cString: rg_gsl_version()) }

/// A number that was computed numerically, with what is known about its error.
package struct NumericalResult: Sendable, Equatable {
  /// The value.
  package var value: Double
  /// An estimate of its absolute error.
  package var error: Double
  /// The number of function evaluations.
  package var evaluations: Int

  /// States a result.
  package init(value: Double, error: Double, evaluations: Int) {
    self.value = value
    self.error = error
    self.evaluations = evaluations
  }
}

/// Lends a Swift closure to GSL as a `gsl_function`.
final class FunctionBox {
  let function: (Double) -> Double
  var evaluations = 0

  init(_ function: @escaping (Double) -> Double) { self.function = function }

  func withGSLFunction<R>(_ body: (UnsafeMutablePointer<gsl_function>) -> R) -> R {
    var gsl = gsl_function(
      function: { x, context in
        guard let context else { return .nan }
        let box = Unmanaged<FunctionBox>.fromOpaque(context).takeUnretainedValue()
        box.evaluations += 1
        return box.function(x)
      }, params: Unmanaged.passUnretained(self).toOpaque())
    return withExtendedLifetime(self) { body(&gsl) }
  }
}
