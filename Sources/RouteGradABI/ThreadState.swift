import CRouteGrad
import CStandardLibrary

/// What the library keeps for each thread that calls it: the message of its last failure, whom to ask whether to go on, and why the
/// computation that is going on must end. Freed with the thread.
final class ThreadState {
  /// The last failure's message, as C reads it.
  private(set) var message: UnsafeMutablePointer<CChar>?
  /// Why the computation that is going on must end: the caller's function failed, or it was interrupted; nil if it may go on.
  var ending: Failure?
  /// Whom to ask whether to go on, see `rg_set_interruption`.
  var interruption: (function: rg_interruption, context: UnsafeMutableRawPointer?)?

  /// Whether the computation that is going on may go on; asks the caller.
  var goesOn: Bool {
    if ending == nil, let (function, context) = interruption, function(context) != 0 {
      ending = Failure(RG_INTERRUPTED, "interrupted")
    }
    return ending == nil
  }

  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { state in
      if let state { Unmanaged<ThreadState>.fromOpaque(state).release() }
    }
    return key
  }()

  /// The calling thread's.
  static var current: ThreadState {
    if let state = pthread_getspecific(key) { return Unmanaged.fromOpaque(state).takeUnretainedValue() }
    let state = ThreadState()
    pthread_setspecific(key, Unmanaged.passRetained(state).toOpaque())
    return state
  }

  /// Keeps a failure's message.
  func record(_ failure: Failure) {
    free(message)
    message = strdup(failure.message)
  }

  deinit { free(message) }
}
