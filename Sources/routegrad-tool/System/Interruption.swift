import Glibc

/// What happens when the program is stopped from outside: nothing half-written stays behind.
enum Interruption {
  /// The file being written, to be removed; the signal handler reads it, so it is a C string.
  nonisolated(unsafe) static var unfinished: UnsafeMutablePointer<CChar>?

  /// Ends the program with 128 + the signal's number (130 for an interrupt) after removing what is
  /// unfinished.
  static func install() {
    unfinished = nil  // initialised before any signal can ask for it
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number) { number in
        if let unfinished = Interruption.unfinished { unlink(unfinished) }
        _exit(128 + number)
      }
    }
  }
}
