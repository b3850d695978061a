import CStandardLibrary
import RoutingCore
import Synchronization
import SystemPackage

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
      descriptor = try Self.unfinished.withLock { [options] unfinished in
        let descriptor = try FileDescriptor.open(
          place, .writeOnly, options: options, permissions: status?.permissions ?? FilePermissions(rawValue: 0o666))
        unfinished.insert(place)
        return descriptor
      }
      places = (target, place)
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
      try Self.unfinished.withLock { unfinished in
        try FileSystem.rename(places.temporary, to: places.target)
        unfinished.remove(places.temporary)
      }
      FileSystem.synchronise(folder: places.target.removingLastComponent())
    } catch {
      remove()
      throw Self.unwritable(name, error)
    }
  }

  /// Leaves no trace of a file that was not finished.
  package func discard() {
    guard !isClosed.exchange(true, ordering: .relaxed) else { return }
    try? descriptor.close()
    remove()
  }

  private func remove() {
    guard let places else { return }
    Self.unfinished.withLock { unfinished in
      if unfinished.remove(places.temporary) != nil { FileSystem.remove(places.temporary) }
    }
  }

  /// What to say of a file that cannot be written.
  package static func unwritable(_ name: String, _ error: any Error) -> Refusal {
    Refusal(.noOutput, "\(FileName.shown(name)): cannot be written: \(error)")
  }
}

extension AtomicFile {
  private static let unfinished = Mutex<Set<FilePath>>([])

  /// Removes every file that is not finished, and ends the program before another can be begun.
  package static func removeUnfinished(andThen end: () -> Never) -> Never {
    unfinished.withLock { unfinished in
      for path in unfinished { FileSystem.remove(path) }
      end()
    }
  }
}
