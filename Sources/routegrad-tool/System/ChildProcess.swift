import CStandardLibrary
import RouteGrad

/// A command that answers lines with lines, run in a process group of its own.
///
/// Whatever it does (hang, die, flood, close its streams, start daemons), no call blocks longer than the timeout, and
/// ``stop(hasAnswered:)`` leaves neither a process nor a zombie.
final class ChildProcess: RouterTransport {
  private let process: pid_t
  private let tree: ProcessTree
  private var input: Int32
  private let output: Int32
  private let error: Int32
  private let timeout: Double
  private var received: [UInt8] = []
  /// How much of what was received is known to hold no line feed.
  private var searched = 0
  private var lastWords: [UInt8] = []

  /// The longest line taken for an answer.
  static let longestLine = 1 << 24

  /// Starts a command.
  ///
  /// - Throws: `Refusal` if it cannot be started.
  init(_ command: [String], timeout: Double) throws(Refusal) {
    self.timeout = timeout
    tree = ProcessTree()
    var ends = [[Int32]](repeating: [-1, -1], count: 3)
    for k in ends.indices {
      guard pipe(&ends[k]) == 0 else {
        throw Refusal(.noInput, "\(command[0]): no pipes: \(String(cString: strerror(errno)))")
      }
      for end in ends[k] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[0][0], STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, ends[1][1], STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, ends[2][1], STDERR_FILENO)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // Signals as a shell would hand them on; and a group of its own, so that what the command starts ends with it.
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ] { sigaddset(&signals, number) }
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
    var arguments =
      command.map { argument in
        (FileName.bytes(of: argument) + [0]).withUnsafeBytes { bytes in
          bytes.withMemoryRebound(to: CChar.self) { $0.baseAddress.flatMap { strdup($0) } }
        }
      } + [nil]
    defer { for argument in arguments { free(argument) } }
    var started = pid_t()
    var failure: Int32 = 0
    Interruption.startChild(tree) {
      failure = posix_spawnp(&started, arguments[0] ?? strdup(""), &actions, &attributes, &arguments, environ)
      return failure == 0 ? started : nil
    }
    for end in [ends[0][0], ends[1][1], ends[2][1]] { close(end) }
    process = started
    (input, output, error) = (ends[0][1], ends[1][0], ends[2][0])
    guard failure == 0 else {
      for end in [input, output, error] { close(end) }
      throw Refusal(.noInput, "\(command[0]): cannot be started: \(String(cString: strerror(failure)))")
    }
    for end in [input, output, error] { _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK) }
    signal(SIGPIPE, SIG_IGN)  // a router that closes its input is answered with a message, not with our end
  }

  /// What the command writes to standard output when it is given a text and nothing more.
  ///
  /// - Throws: ``Refusal`` of code `wrongData` if it does not end well, with its last words.
  static func output(of command: [String], input text: String, timeout: Double) throws(Refusal) -> [UInt8] {
    let child = try ChildProcess(command, timeout: timeout)
    var hasEnded = false
    defer { child.stop(hasAnswered: hasEnded) }
    do throws(RouterFailure) {
      let output = try child.converse(Array(text.utf8))
      hasEnded = true
      return output
    } catch {
      throw Refusal(.wrongData, "\(command[0]): \(error)")
    }
  }

  private func converse(_ bytes: [UInt8]) throws(RouterFailure) -> [UInt8] {
    let deadline = Self.now + timeout
    var sent = 0
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    var answer: [UInt8] = []
    var isOpen = true
    while true {
      if sent == bytes.count, isOpen {
        close(input)
        (input, isOpen) = (-1, false)
      }
      let left = deadline - Self.now
      guard left > 0 else { throw RouterFailure("no end within \(timeout) s") }
      var polled = [
        pollfd(fd: output, events: Int16(POLLIN), revents: 0),
        pollfd(fd: isSilent ? -1 : error, events: Int16(POLLIN), revents: 0),
        pollfd(fd: input, events: Int16(POLLOUT), revents: 0),
      ]
      guard poll(&polled, 3, Int32(min(left * 1000 + 1, 1e9))) > 0 else { continue }
      if polled[1].revents != 0 { listen(&chunk) }
      if polled[0].revents != 0 {
        let count = read(output, &chunk, chunk.count)
        if count == 0 { break }
        if count > 0 { answer += chunk[..<count] }
      }
      guard isOpen, polled[2].revents != 0 else { continue }
      let count = bytes[sent...].withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
      // One that reads no further may have said why, and ends.
      sent = count < 0 && errno != EAGAIN ? bytes.count : sent + max(count, 0)
    }
    guard wait(atMost: max(deadline - Self.now, 0)), status == 0 else { throw ended("did not end", called: "it") }
    return answer
  }

  func exchange(_ line: String) throws(RouterFailure) -> [UInt8] {
    let deadline = Self.now + timeout
    let bytes = Array((line + "\n").utf8)
    var sent = 0
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      if sent == bytes.count, let end = lineFeed {
        let answer = Array(received[..<end])
        received.removeFirst(end + 1)
        searched = 0
        return answer
      }
      if sent == bytes.count { searched = received.count }
      guard received.count <= Self.longestLine else {
        throw RouterFailure("the router answered \(received.count) bytes without a line feed")
      }
      let left = deadline - Self.now
      guard left > 0 else { throw RouterFailure("the router gave no answer within \(timeout) s") }
      var polled = [
        pollfd(fd: output, events: Int16(POLLIN), revents: 0), pollfd(fd: error, events: Int16(POLLIN), revents: 0),
        // Without an event asked for, a closed input is still reported.
        pollfd(fd: input, events: Int16(sent < bytes.count ? POLLOUT : 0), revents: 0),
      ]
      if isSilent { polled[1].fd = -1 }
      guard poll(&polled, 3, Int32(min(left * 1000 + 1, 1e9))) > 0 else { continue }
      if polled[1].revents != 0 { listen(&chunk) }
      if polled[0].revents != 0 {
        let count = read(output, &chunk, chunk.count)
        if count == 0 { throw ended("closed its standard output") }
        if count > 0 {
          received += chunk[..<count]
          continue
        }
      }
      if polled[2].revents & Int16(POLLERR) != 0 { throw ended("closed its standard input") }
      if sent < bytes.count, polled[2].revents & Int16(POLLOUT) != 0 {
        let count = bytes.withUnsafeBytes { write(input, $0.baseAddress.map { $0 + sent }, bytes.count - sent) }
        sent += max(count, 0)
      }
    }
  }

  /// Ends the process and everything that it has started. One that has answered every call gets the end of its input first, and a
  /// second.
  func stop(hasAnswered: Bool) {
    for end in [input, output, error] where end >= 0 { close(end) }
    if !wait(atMost: hasAnswered ? 1 : 0) {
      kill(-process, SIGTERM)
      if !wait(atMost: 0.5) {
        kill(-process, SIGKILL)
        waitpid(process, nil, 0)
      }
    }
    kill(-process, SIGKILL)  // what it started and left behind
    tree.end()
    Interruption.childHasEnded()
    signal(SIGPIPE, SIG_DFL)
  }

  /// Where the first line feed is in what was not searched yet.
  private var lineFeed: Int? {
    received.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress, searched < bytes.count,
        let found = memchr(start + searched, 0x0A, bytes.count - searched)
      else { return nil }
      return UnsafeRawPointer(found) - start
    }
  }

  // MARK: - What became of it

  private var isSilent = false
  private var status: Int32?

  private func listen(_ chunk: inout [UInt8]) {
    let count = read(error, &chunk, chunk.count)
    if count == 0 { isSilent = true }
    guard count > 0 else { return }
    lastWords = Array((lastWords + chunk[..<count]).suffix(4096))
  }

  /// What to say of a router that went away.
  private func ended(_ what: String, called name: String = "the router") -> RouterFailure {
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    var how = what
    if wait(atMost: 2), let status {
      let number = status & 0x7F
      how = number == 0 ? "ended with status \((status >> 8) & 0xFF)" : "was ended by signal \(number)"
    }
    for _ in 0..<64 { listen(&chunk) }
    let words = String(decoding: lastWords, as: UTF8.self).split(whereSeparator: \.isNewline).last
    return RouterFailure("\(name) \(how)" + (words.map { "; its last words: \($0.prefix(200))" } ?? ""))
  }

  /// Whether it ended within so many seconds.
  private func wait(atMost seconds: Double) -> Bool {
    let deadline = Self.now + seconds
    while status == nil {
      var word: Int32 = 0
      if waitpid(process, &word, WNOHANG) == process {
        status = word
        break
      }
      if Self.now > deadline { return false }
      usleep(2000)
    }
    return true
  }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
