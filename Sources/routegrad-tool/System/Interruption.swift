import Glibc
import RouteGrad

/// What happens when the program is stopped from outside: nothing half-written stays behind, nor does a process that was
/// started.
///
/// Whatever the command, the exit status is 128 + the signal's number: 130 for an interrupt, 143 for a request to terminate,
/// 129 for a hangup.
enum Interruption {
  /// The signal that has asked for the end where one is waited for (``deferInterrupts()``); 0 if none has.
  nonisolated(unsafe) private static var requested: sig_atomic_t = 0
  /// Whether the first signal only asks.
  nonisolated(unsafe) private static var isDeferred: sig_atomic_t = 0
  /// The process that was started, to be ended with its group; 0 if there is none.
  nonisolated(unsafe) static var child: pid_t = 0

  private static let signals = [SIGINT, SIGTERM, SIGHUP]

  /// Whether a signal has asked the program to come to an end by itself.
  static var isRequested: Bool { requested != 0 }

  /// How a program ends that a signal has asked to.
  static var status: ExitStatus { ExitStatus(rawValue: 128 + requested) ?? .interrupted }

  /// From now on the first signal only asks for the end (``isRequested``); the second ends the program as before.
  static func deferInterrupts() { isDeferred = 1 }

  /// Ends the program with 128 + the signal's number after removing what is unfinished.
  static func install() {
    // Initialised before any signal can ask for it.
    AtomicFile.prepare()
    (child, requested, isDeferred) = (0, 0, 0)
    // A file that grows past the limit is a write that fails, not the end.
    signal(SIGXFSZ, SIG_IGN)
    // A parent that blocks signals (a thread of libdispatch does) hands its mask on.
    var mask = sigset_t()
    sigemptyset(&mask)
    for number in signals {
      sigaddset(&mask, number)
      let before = signal(number) { number in
        if Interruption.isDeferred != 0, Interruption.requested == 0 {
          Interruption.requested = number
          return
        }
        AtomicFile.removeUnfinished()
        if Interruption.child > 0 { kill(-Interruption.child, SIGKILL) }
        _exit(128 + number)
      }
      // Who started it by nohup wants it to go on.
      if number == SIGHUP, unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) {
        signal(number, SIG_IGN)
      }
    }
    sigprocmask(SIG_UNBLOCK, &mask, nil)
  }

  /// Does something that no signal may come between.
  static func withoutSignals<Result>(_ body: () -> Result) -> Result {
    var mask = sigset_t()
    var before = sigset_t()
    sigemptyset(&mask)
    for number in signals { sigaddset(&mask, number) }
    sigprocmask(SIG_BLOCK, &mask, &before)
    defer { sigprocmask(SIG_SETMASK, &before, nil) }
    return body()
  }
}
