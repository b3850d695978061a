import CProcess
import CStandardLibrary
import RouteGrad
import SystemPackage

/// A process and whatever it starts, in groups and sessions of their own or not.
///
/// Orphans come to this program and not to the system's first process (Linux: a child subreaper), so that what made itself a
/// daemon is a child like others.
struct ProcessTree {
  /// The children that this program had already, which are somebody else's.
  private let strangers: Set<pid_t>

  /// From now on, what is started belongs to the tree.
  init() {
    _ = cprocess_adopt_orphans()
    strangers = Self.children
  }

  /// Ends everything that is left of the tree.
  func end() {
    // A process that ends hands its children on, so one round is not enough; nothing forks faster than this for long.
    for _ in 0..<2000 {
      let left = Self.children.subtracting(strangers)
      if left.isEmpty { return }
      for process in left {
        kill(process, SIGKILL)
        waitpid(process, nil, WNOHANG)
      }
      usleep(500)
    }
  }

  /// The children of this program, as `/proc` has them; none where there is no such thing.
  private static var children: Set<pid_t> {
    let own = getpid()
    let numbers = (try? FileSystem.names(in: "/proc"))?.compactMap { pid_t($0) } ?? []
    return Set(
      numbers.filter { number in
        guard let bytes = try? FileReading.bytes(of: "/proc/\(number)/stat", atMost: 1 << 16),
          // Number, name in parentheses (which may hold anything), state, parent.
          let end = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return false }
        let fields = bytes[(end + 1)...].split(separator: UInt8(ascii: " "))
        return fields.count > 1 && pid_t(String(decoding: fields[1], as: UTF8.self)) == own
      })
  }
}
