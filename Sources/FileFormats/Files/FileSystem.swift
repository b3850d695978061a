import CStandardLibrary
import SystemPackage

/// What swift-system has no words for yet (1.8): every other call to the system's files goes through its `FileDescriptor`.
package enum FileSystem {
  /// What stands under a name.
  package struct Status {
    package var isFile, isFolder: Bool
    /// Who may read and write it.
    package var permissions: FilePermissions
  }

  /// What stands under a name, links followed; nil if there is nothing that can be looked at.
  package static func status(of path: FilePath) -> Status? {
    var status = stat()
    guard path.withPlatformString({ stat($0, &status) }) == 0 else { return nil }
    return Status(status)
  }

  /// What a descriptor is open to.
  package static func status(of descriptor: FileDescriptor) -> Status? {
    var status = stat()
    guard fstat(descriptor.rawValue, &status) == 0 else { return nil }
    return Status(status)
  }

  package static func isWritable(_ path: FilePath) -> Bool { path.withPlatformString { access($0, W_OK) } == 0 }

  /// The path without links; as it is if that is not known.
  package static func resolved(_ path: FilePath) -> FilePath {
    guard let real = path.withPlatformString({ realpath($0, nil) }) else { return path }
    defer { free(real) }
    return FilePath(platformString: real)
  }

  package static func rename(_ path: FilePath, to target: FilePath) throws(Errno) {
    try check(
      path.withPlatformString { path in
        target.withPlatformString { CStandardLibrary.rename(path, $0) }
      })
  }

  /// Removes a file or a link; returns whether there is none any more that this could have removed.
  @discardableResult
  package static func remove(_ path: FilePath) -> Bool { path.withPlatformString { unlink($0) } == 0 }

  package static func removeFolder(_ path: FilePath) { _ = path.withPlatformString { rmdir($0) } }

  /// Makes a folder, unless something has its name.
  package static func makeFolder(_ path: FilePath) throws(Errno) {
    guard path.withPlatformString({ mkdir($0, 0o777) }) != 0, errno != EEXIST else { return }
    throw Errno(rawValue: errno)
  }

  /// Makes a folder with a name of its own in another.
  package static func makeTemporaryFolder(in folder: FilePath, prefix: String) throws(Errno) -> FilePath {
    let template = folder.appending("\(prefix)XXXXXX")
    let made = template.withPlatformString { template -> FilePath? in
      let copy = strdup(template)
      defer { free(copy) }
      return copy.flatMap { mkdtemp($0) }.map { FilePath(platformString: $0) }
    }
    guard let made else { throw Errno(rawValue: errno) }
    return made
  }

  /// The names in a folder, sorted.
  package static func names(in folder: FilePath) throws(Errno) -> [String] {
    guard let directory = folder.withPlatformString({ opendir($0) }) else { throw Errno(rawValue: errno) }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { FileName.text(of: $0.prefix { $0 != 0 }) }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Has what was written survive the power going off; what cannot be synchronised (a pipe) need not be.
  package static func synchronise(_ descriptor: FileDescriptor) throws(Errno) {
    while fsync(descriptor.rawValue) != 0 {
      let error = Errno(rawValue: errno)
      if error == .interrupted { continue }
      if error == .invalidArgument || error == .notSupported { return }
      throw error
    }
  }

  /// Has a rename survive the power going off, if the folder can be opened.
  package static func synchronise(folder: FilePath) {
    let folder = folder.isEmpty ? FilePath(".") : folder
    guard let descriptor = try? FileDescriptor.open(folder, .readOnly, options: .closeOnExec) else { return }
    _ = try? synchronise(descriptor)
    try? descriptor.close()
  }

  /// Locks a file until it is closed; returns whether nobody else has.
  package static func lock(_ descriptor: FileDescriptor) -> Bool { flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 }

  private static func check(_ result: Int32) throws(Errno) {
    if result != 0 { throw Errno(rawValue: errno) }
  }
}

extension FileSystem.Status {
  fileprivate init(_ status: stat) {
    isFile = status.st_mode & S_IFMT == S_IFREG
    isFolder = status.st_mode & S_IFMT == S_IFDIR
    permissions = FilePermissions(rawValue: status.st_mode & 0o777)
  }
}
