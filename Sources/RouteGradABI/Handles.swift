import CRouteGrad
import CStandardLibrary
import RouteGrad

// Handles stand for Swift objects, kept for their caller. Their content never changes, so that threads may share them.

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

/// The objects that handles stand for.
///
/// A handle is a number that is given out once, not an address: one that was destroyed, destroyed twice, made up, or is of another kind is
/// found out and never followed. A call holds on to the object that it looked up, so destroying a handle in use ends it when that call does.
private final class HandleTable: @unchecked Sendable {
  static let shared = HandleTable()

  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var objects: [UInt: AnyObject] = [:]
  private var last: UInt = 0

  /// A process may fork while other threads make calls; its child must not find the lock held by a thread that it does not have.
  private init() {
    pthread_mutex_init(lock, nil)
    pthread_atfork(
      { pthread_mutex_lock(HandleTable.shared.lock) }, { pthread_mutex_unlock(HandleTable.shared.lock) },
      { pthread_mutex_unlock(HandleTable.shared.lock) })
  }

  func add(_ object: AnyObject) -> UInt {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    last += 1
    objects[last] = object
    return last
  }

  func find(_ handle: UInt) -> AnyObject? {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return objects[handle]
  }

  /// Forgets an object if it is of the kind; what it owns is given back after the lock is.
  func remove<Object: AnyObject>(_ handle: UInt, as type: Object.Type) {
    pthread_mutex_lock(lock)
    let found = objects[handle] as? Object
    if found != nil { objects[handle] = nil }
    pthread_mutex_unlock(lock)
  }
}

/// The object behind a handle; `what` names the argument.
func object<Object: AnyObject>(
  _ handle: OpaquePointer?, _ what: String, as type: Object.Type = Object.self
) throws(Failure) -> Object {
  guard let handle else { throw .argument("\(what): expected a handle, got NULL") }
  guard let found = HandleTable.shared.find(UInt(bitPattern: handle)) as? Object else {
    throw .argument("\(what): expected a handle of its kind, got one of another or one that was destroyed")
  }
  return found
}

/// A handle that its caller owns.
func handle(_ object: some AnyObject) -> OpaquePointer? { OpaquePointer(bitPattern: HandleTable.shared.add(object)) }

/// Gives up what ``handle(_:)`` made.
func release<Object: AnyObject>(_ handle: OpaquePointer?, as type: Object.Type) {
  if let handle { HandleTable.shared.remove(UInt(bitPattern: handle), as: type) }
}
