import RoutingCore
import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A file that gets its name when it is complete: at any moment the old content stands there, or the new one.
///
/// It is written under another name in the same folder, synchronised, renamed, and the folder synchronised. A symbolic link
/// stays one: what it points to is replaced. What exists and is no regular file (a device, a pipe) is written to directly.
package final class AtomicFile: Sendable {
  private let name: String
  private let descriptor: FileDescriptor
  /// What is replaced, and by what; nil where it is written to directly.
  private let places: (target: FilePath, temporary: FilePath)?
  /// Whether a write has failed, or everything is done.
  private let failure = Mutex<Errno?>(nil)
  private let isClosed = Atomic(false)
  private let entry: Int?

  /// What the file is called while it is not complete.
  package enum Temporary {
    /// A hidden name that nothing has yet.
    case hidden
    /// The name with this at its end; what has that name was left behind and is overwritten.
    case suffix(String)
  }

  private static let count = Atomic(0)

  /// Opens a file.
  ///
  /// - Throws: `Refusal` if it cannot be written.
  package init(replacing name: String, through temporary: Temporary = .hidden) throws(Refusal) {
    self.name = name
    let path = FilePath(named: name)
    let status = FileSystem.status(of: path)
    do {
      if let status, !status.isFile {
        places = nil
        entry = nil
        descriptor = try .open(path, .writeOnly, options: .closeOnExec)
        return
      }
      guard status == nil || FileSystem.isWritable(path) else { throw Errno(rawValue: errno) }
      let target = status == nil ? path : FileSystem.resolved(path)
      // Without a last component it is no name of a file; the system says so.
      let base = target.lastComponent == nil ? target : target.removingLastComponent()
      var options: FileDescriptor.OpenOptions = [.create, .closeOnExec]
      let place: FilePath
      switch temporary {
      case .hidden:
        let number = Self.count.add(1, ordering: .relaxed).oldValue
        options.insert(.exclusiveCreate)
        place = path.isEmpty ? path : base.appending(".routegrad-\(getpid())-\(number).tmp")
      case .suffix(let suffix):
        options.insert(.truncate)
        place = FilePath(named: target.text + suffix)
      }
      descriptor = try .open(
        place, .writeOnly, options: options, permissions: status?.permissions ?? FilePermissions(rawValue: 0o666))
      places = (target, place)
      entry = Unfinished.add(place)
    } catch {
      throw Self.unwritable(name, error)
    }
  }

  deinit { discard() }

  /// Writes bytes where the last ones ended.
  package func write(_ bytes: some Sequence<UInt8>) throws(Refusal) {
    do { try descriptor.writeAll(bytes) } catch { throw Self.unwritable(name, error) }
  }

  /// Makes room.
  package func resize(to size: Int) throws(Refusal) {
    do { try descriptor.resize(to: Int64(size)) } catch { throw Self.unwritable(name, error) }
  }

  /// Writes bytes to a place; from any thread. What goes wrong is said by ``finish()``.
  package func write(_ bytes: [UInt8], at offset: Int) {
    do { try descriptor.writeAll(toAbsoluteOffset: Int64(offset), bytes) } catch {
      failure.withLock { $0 = $0 ?? error as? Errno ?? .ioError }
    }
  }

  /// Gives the file its name.
  ///
  /// - Throws: `Refusal` if not everything could be written; nothing is left then.
  package func finish() throws(Refusal) {
    defer { discard() }
    do {
      if let failure = failure.withLock({ $0 }) { throw failure }
      if places != nil { try FileSystem.synchronise(descriptor) }
      isClosed.store(true, ordering: .relaxed)
      try descriptor.close()
      guard let places else { return }
      try FileSystem.rename(places.temporary, to: places.target)
      if let entry { Unfinished.remove(entry) }
      FileSystem.synchronise(folder: places.target.removingLastComponent())
    } catch {
      if let places { FileSystem.remove(places.temporary) }
      throw Self.unwritable(name, error)
    }
  }

  /// Leaves no trace of a file that was not finished.
  package func discard() {
    guard !isClosed.exchange(true, ordering: .relaxed) else { return }
    try? descriptor.close()
    if let places { FileSystem.remove(places.temporary) }
    if let entry { Unfinished.remove(entry) }
  }

  /// What to say of a file that cannot be written.
  package static func unwritable(_ name: String, _ error: any Error) -> Refusal {
    Refusal(.noOutput, "\(name): cannot be written: \(error)")
  }
}

extension AtomicFile {
  /// Removes every file that is not finished. Safe in a signal handler, once ``prepare()`` has been called.
  package static func removeUnfinished() { Unfinished.removeAll() }

  /// Has ``removeUnfinished()`` initialise nothing.
  package static func prepare() { Unfinished.prepare() }
}

/// The names of files that are not finished, for signal handlers: plain memory that is never given back.
private enum Unfinished {
  /// More files at a time are not kept track of.
  private static let most = 256
  private static let longest = 4096
  private nonisolated(unsafe) static let names = UnsafeMutablePointer<CChar>.allocate(capacity: most * longest)
  /// 0: free, 1: being written, 2: in use.
  private nonisolated(unsafe) static let states = {
    let states = UnsafeMutablePointer<Atomic<Int>>.allocate(capacity: most)
    for k in 0..<most { (states + k).initialize(to: Atomic(0)) }
    return states
  }()

  static func prepare() { _ = (names, states) }

  static func add(_ path: FilePath) -> Int? {
    path.withPlatformString { path in
      guard strlen(path) < longest else { return nil }
      for k in 0..<most
      where states[k].compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged {
        strcpy(names + k * longest, path)
        states[k].store(2, ordering: .releasing)
        return k
      }
      return nil
    }
  }

  static func remove(_ entry: Int) { states[entry].store(0, ordering: .releasing) }

  static func removeAll() {
    for k in 0..<most where states[k].load(ordering: .acquiring) == 2 { unlink(names + k * longest) }
  }
}
