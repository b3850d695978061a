import CStandardLibrary
import RouteGradTraining
import Synchronization

/// What happens when the program is stopped from outside: nothing half-written stays behind, and what can be saved is.
///
/// There are no signal handlers. The signals are blocked in every thread, and one thread does nothing but wait for them, so
/// that they never come between two instructions of anything else (some kernels of matrix products keep the stack pointer where no
/// handler may run), and what is done about them may lock and allocate.
enum Interruption {
  private struct State {
    /// Files, and folders of runs, that are removed unless they are finished.
    var unfinished: Set<String> = []
    /// The process that was started, to be ended with its group; 0 if there is none.
    var child: pid_t = 0
    /// Whether the first signal only asks for the end.
    var isDeferred = false
  }

  private static let state = Mutex(State())
  /// The signal that has asked for the end, or 0.
  private static let request = Atomic<Int32>(0)

  /// Whether a signal has asked the program to come to an end by itself.
  static var isRequested: Bool { request.load(ordering: .relaxed) != 0 }

  /// From now on the first signal only asks for the end (``isRequested``); the second ends the program as before.
  static func deferInterrupts() { state.withLock { $0.isDeferred = true } }

  /// From now on an interrupt, a request to terminate, or a hangup ends the program with 128 + the signal's number (130 for
  /// an interrupt) after removing what is unfinished. Called before there is a second thread, since threads inherit what is blocked.
  ///
  /// A hangup stays ignored where it is (`nohup`); an interrupt does not (a shell's background jobs begin so), because whoever sends
  /// one to a process by its id means it.
  static func install() {
    var handler = sigaction()
    sigaction(SIGHUP, nil, &handler)
    let isHangupIgnored = isIgnored(handler)
    var mask = signals(isHangupIgnored ? [SIGINT, SIGTERM] : [SIGINT, SIGTERM, SIGHUP])
    // An ignored signal need not be kept for a thread that waits for it.
    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
    pthread_sigmask(SIG_BLOCK, &mask, nil)
    let waiting = Thread(mask)
    var thread = pthread_t()
    let failure = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Thread>.fromOpaque(argument).takeRetainedValue().run()
      }, Unmanaged.passRetained(waiting).toOpaque())
    if failure == 0 {
      pthread_detach(thread)
    } else {
      // Without a thread to wait for them they end the program at once, and may leave an unfinished file.
      pthread_sigmask(SIG_UNBLOCK, &mask, nil)
    }
  }

  private static func isIgnored(_ action: sigaction) -> Bool {
    unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  private static func signals(_ numbers: [Int32]) -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in numbers { sigaddset(&set, number) }
    return set
  }

  /// The thread that waits.
  private final class Thread: Sendable {
    private let mask: sigset_t
    init(_ mask: sigset_t) { self.mask = mask }

    func run() -> Never {
      var mask = mask
      while true {
        var number: Int32 = 0
        if sigwait(&mask, &number) == 0 { Interruption.receive(number) }
      }
    }
  }

  private static func receive(_ number: Int32) {
    state.withLock { state in
      if state.isDeferred, request.compareExchange(expected: 0, desired: number, ordering: .relaxed).exchanged {
        return
      }
      end(state)
      _exit(128 + number)
    }
  }

  private static func end(_ state: borrowing State) {
    for path in state.unfinished { RunFolder.removeAll(path) }
    if state.child > 0 { kill(-state.child, SIGKILL) }
  }
}

// MARK: - What must not stay behind

extension Interruption {
  /// Does something about files or a process that the end of the program may not come between.
  ///
  /// - Parameter body: makes, finishes or removes a file, and says so in the set of unfinished ones.
  static func withUnfinished<Result>(_ body: (inout Set<String>) -> Result) -> Result {
    state.withLock { state in
      var unfinished = state.unfinished
      defer { state.unfinished = unfinished }
      return body(&unfinished)
    }
  }

  /// Starts a process that ends with the program, or with ``childHasEnded()``.
  ///
  /// - Parameter start: gives its id, or nil if it could not be started.
  static func startChild(_ start: () -> pid_t?) {
    state.withLock { $0.child = start() ?? 0 }
  }

  /// The process is no more.
  static func childHasEnded() { state.withLock { $0.child = 0 } }

  /// Removes a file or a folder of runs that is not wanted any more.
  static func discard(_ path: String) {
    withUnfinished { unfinished in
      RunFolder.removeAll(path)
      unfinished.remove(path)
    }
  }

  /// Removes what was not finished.
  static func discardUnfinished() {
    withUnfinished { unfinished in
      for path in unfinished { RunFolder.removeAll(path) }
      unfinished = []
    }
  }
}

/// A file that stands beside the place where it belongs until it is complete, so that nobody ever sees half of it; however the
/// program ends before, it is removed.
struct UnfinishedFile: Sendable {
  /// Open for writing.
  let descriptor: Int32
  private let temporary, target: String

  private static let count = Atomic(0)

  /// Makes a file beside `target`.
  ///
  /// - Returns: nil if it could not be made; `errno` says why.
  init?(replacing target: String, mode: mode_t) {
    self.target = target
    let folder = target.lastIndex(of: "/").map { String(target[...$0]) } ?? ""
    let temporary = "\(folder).routegrad-\(getpid())-\(Self.count.add(1, ordering: .relaxed).newValue).tmp"
    self.temporary = temporary
    let (descriptor, failure) = Interruption.withUnfinished { unfinished in
      let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
      let failure = errno
      if descriptor >= 0 { unfinished.insert(temporary) }
      return (descriptor, failure)
    }
    guard descriptor >= 0 else {
      errno = failure
      return nil
    }
    self.descriptor = descriptor
  }

  /// Closes the file and gives it its name.
  ///
  /// - Returns: false if that failed, as `errno` says; the file is then still unfinished.
  func complete() -> Bool {
    guard close(descriptor) == 0 else { return false }
    let (isRenamed, failure) = Interruption.withUnfinished { unfinished in
      let isRenamed = rename(temporary, target) == 0
      let failure = errno
      if isRenamed { unfinished.remove(temporary) }
      return (isRenamed, failure)
    }
    errno = failure
    return isRenamed
  }
}
