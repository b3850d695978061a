import CRouteGrad
import RouteGrad

// Handles are Swift objects, retained once for their caller. Their content never changes, so that threads may share them.

/// What `rg_problem` points to.
final class ProblemHandle: Sendable {
  let routed: RoutedProblem
  /// The caller's function, if values come from one.
  let function: CallerFunction?

  init(_ routed: RoutedProblem, function: CallerFunction? = nil) {
    self.routed = routed
    self.function = function
  }
}

/// What `rg_estimator` points to.
final class EstimatorHandle: Sendable {
  let estimator: any GradientEstimator

  init(_ estimator: any GradientEstimator) { self.estimator = estimator }
}

/// The object behind a handle; `what` names the argument.
func object<Object: AnyObject>(
  _ handle: OpaquePointer?, _ what: String, as type: Object.Type = Object.self
) throws(Failure) -> Object {
  guard let handle else { throw .argument("\(what): expected a handle, got NULL") }
  return Unmanaged<Object>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
}

/// A handle that its caller owns.
func handle(_ object: some AnyObject) -> OpaquePointer {
  OpaquePointer(Unmanaged.passRetained(object).toOpaque())
}

/// Gives up what ``handle(_:)`` made.
func release<Object: AnyObject>(_ handle: OpaquePointer?, as type: Object.Type) {
  if let handle { Unmanaged<Object>.fromOpaque(UnsafeRawPointer(handle)).release() }
}
