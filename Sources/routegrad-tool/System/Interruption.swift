import CStandardLibrary

/// What happens when the program is stopped from outside: nothing half-written stays behind.
enum Interruption {
  /// The file being written, to be removed; the signal handler reads it, so it is a C string.
  nonisolated(unsafe) static var unfinished: UnsafeMutablePointer<CChar>?
  /// Likewise a file of gradients beside it.
  nonisolated(unsafe) static var unfinishedGradients: UnsafeMutablePointer<CChar>?

  /// Set by the first interrupt where one is waited for (``deferInterrupts()``).
  nonisolated(unsafe) private static var requested: sig_atomic_t = 0

  /// Whether an interrupt has asked the program to come to an end by itself.
  static var isRequested: Bool { requested != 0 }

  /// From now on the first interrupt only asks for the end (``isRequested``); the second ends the program as before.
  static func deferInterrupts() {
    for number in [SIGINT, SIGTERM] {
      signal(number) { number in
        if Interruption.requested != 0 { _exit(128 + number) }
        Interruption.requested = 1
      }
    }
  }

  /// The process that was started, to be ended with its group; 0 if there is none.
  nonisolated(unsafe) static var child: pid_t = 0

  /// Ends the program with 128 + the signal's number (130 for an interrupt) after removing what is
  /// unfinished.
  static func install() {
    unfinished = nil  // initialised before any signal can ask for it
    child = 0
    requested = 0
    unfinishedGradients = nil
    // A parent that blocks signals (a thread of libdispatch does) hands its mask on.
    var mask = sigset_t()
    sigemptyset(&mask)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      sigaddset(&mask, number)
      signal(number) { number in
        if let unfinished = Interruption.unfinished { unlink(unfinished) }
        if Interruption.child > 0 { kill(-Interruption.child, SIGKILL) }
        if let unfinished = Interruption.unfinishedGradients { unlink(unfinished) }
        _exit(128 + number)
      }
    }
    sigprocmask(SIG_UNBLOCK, &mask, nil)
  }

  /// Does something that no signal may come between.
  static func withoutSignals<Result>(_ body: () -> Result) -> Result {
    var mask = sigset_t()
    var before = sigset_t()
    sigemptyset(&mask)
    for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&mask, number) }
    sigprocmask(SIG_BLOCK, &mask, &before)
    defer { sigprocmask(SIG_SETMASK, &before, nil) }
    return body()
  }
}
