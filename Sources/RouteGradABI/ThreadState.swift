import CStandardLibrary

/// What the library keeps for each thread that calls it: the message of its last failure, and what became of the caller's
/// function during the computation that is going on. Freed with the thread.
final class ThreadState {
  /// The last failure's message, as C reads it.
  private(set) var message: UnsafeMutablePointer<CChar>?
  /// How the caller's function failed in the computation that is going on; nil if it has not.
  var functionFailure: Failure?

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
