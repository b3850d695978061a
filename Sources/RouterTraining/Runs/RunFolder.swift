import CStandardLibrary
import FileFormats
import LayerTensors
import MixtureOfExperts
import RoutingCore

/// A run on disk: `manifest.json`, `metrics.jsonl`, and the last two checkpoints.
///
/// Whatever moment the program is killed at, what was saved stays whole: files are replaced by renaming, and the metrics, which
/// grow, are cut back to the length that the checkpoint remembers.
package final class RunFolder {
  package let path: String
  package let manifest: RunManifest
  /// Open for appending, and locked, so that two programs never train in one folder.
  private let metrics: Int32
  private(set) var metricsBytes = 0

  private static let manifestName = "manifest.json"
  private static let metricsName = "metrics.jsonl"
  private static let keptCheckpoints = 2

  /// Makes a folder for a run.
  ///
  /// - Throws: ``RunError`` if it cannot be made, or holds a run already.
  package init(creating path: String, _ manifest: RunManifest) throws(RunError) {
    try RunFiles.makeFolder(path)
    self.path = path
    self.manifest = manifest
    guard access("\(path)/\(Self.manifestName)", F_OK) != 0 else {
      throw RunError(.noOutput, "\(path): holds a run already; go on with it by 'routegrad train resume \(path)'")
    }
    metrics = try Self.openMetrics(path)
    for file in try manifest.settings.folderFiles() { try RunFiles.replace(file.name, in: path, with: file.bytes) }
    try RunFiles.replace(Self.manifestName, in: path, with: Array(JSONWriter.indented(manifest.json).utf8))
  }

  /// Opens the folder of a run to go on with it.
  ///
  /// - Throws: ``RunError`` if it cannot be opened, or its manifest is not one.
  package init(opening path: String) throws(RunError) {
    self.path = path
    manifest = try Self.manifest(of: path)
    metrics = try Self.openMetrics(path)
    for name in RunFiles.names(in: path) ?? [] where name.hasSuffix(RunFiles.temporarySuffix) {
      unlink("\(path)/\(name)")
    }
  }

  deinit { close(metrics) }

  /// The manifest of a folder.
  package static func manifest(of path: String) throws(RunError) -> RunManifest {
    let file = "\(path)/\(manifestName)"
    let bytes = try RunFiles.bytes(of: file)
    do {
      return try RunManifest(JSONParser.parse(bytes))
    } catch {
      throw RunError(.wrongData, "\(file): \(error)")
    }
  }

  /// The metrics of a folder, as far as whole lines go.
  package static func metrics(of path: String) throws(RunError) -> RunMetrics {
    let file = "\(path)/\(metricsName)"
    let bytes = try RunFiles.bytes(of: file)
    do throws(InvalidInput) {
      return try RunMetrics(bytes)
    } catch {
      throw RunError(.wrongData, "\(file): \(error)")
    }
  }

  /// Removes a folder and everything below it; symbolic links are removed, not followed.
  package static func removeAll(_ path: String) {
    if unlink(path) == 0 { return }
    for name in RunFiles.names(in: path) ?? [] { removeAll("\(path)/\(name)") }
    rmdir(path)
  }

  private static func openMetrics(_ path: String) throws(RunError) -> Int32 {
    let file = "\(path)/\(metricsName)"
    let descriptor = open(file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw RunFiles.unwritable(file) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      throw RunError(.noOutput, "\(path): another program is training in this folder")
    }
    return descriptor
  }
}

// MARK: - Metrics

extension RunFolder {
  /// Adds a line to the metrics.
  func append(_ line: JSONValue) throws(RunError) {
    let bytes = Array((JSONWriter.line(line) + "\n").utf8)
    guard RunFiles.write(bytes, to: metrics) else { throw RunFiles.unwritable("\(path)/\(Self.metricsName)") }
    metricsBytes += bytes.count
  }

  /// Cuts the metrics back.
  ///
  /// - Returns: what is left of them.
  func cutMetrics(to length: Int) throws(RunError) -> RunMetrics {
    let file = "\(path)/\(Self.metricsName)"
    var bytes = try RunFiles.bytes(of: file)
    guard bytes.count >= length else {
      throw RunError(
        .wrongData, "\(file): damaged: expected at least \(length) bytes, as the checkpoint says, got \(bytes.count)")
    }
    bytes.removeSubrange(length...)
    guard ftruncate(metrics, off_t(length)) == 0 else { throw RunFiles.unwritable(file) }
    metricsBytes = length
    do throws(InvalidInput) {
      return try RunMetrics(bytes)
    } catch {
      throw RunError(.wrongData, "\(file): \(error)")
    }
  }
}

// MARK: - Checkpoints

extension RunFolder {
  private static let (prefix, suffix) = ("checkpoint-", ".safetensors")

  private static func name(step: Int) -> String {
    let digits = "\(step)"
    return prefix + String(repeating: "0", count: max(8 - digits.count, 0)) + digits + suffix
  }

  /// The names of the checkpoints, the newest first.
  var checkpoints: [String] { Self.checkpoints(in: path) }

  /// Those of any folder.
  private static func checkpoints(in path: String) -> [String] {
    (RunFiles.names(in: path) ?? []).filter { $0.hasPrefix(prefix) && $0.hasSuffix(suffix) }
      .sorted { ($0.utf8.count, $0) > ($1.utf8.count, $1) }
  }

  /// Saves a checkpoint and removes those before the last two.
  func save(_ checkpoint: Checkpoint) throws(RunError) {
    guard fsync(metrics) == 0 else { throw RunFiles.unwritable("\(path)/\(Self.metricsName)") }
    try RunFiles.replace(Self.name(step: checkpoint.step), in: path, with: checkpoint.bytes)
    for name in checkpoints.dropFirst(Self.keptCheckpoints) { unlink("\(path)/\(name)") }
  }

  /// Reads the newest checkpoint, or the one before it, into tensors that exist.
  ///
  /// - Parameters:
  ///   - previous: leave out the newest, and remove it once the one before it has been read.
  /// - Returns: nil if there is none.
  /// - Throws: ``RunError`` if it is damaged, naming the one before it if that is whole.
  func restore(
    previous: Bool, into tensors: [(name: String, tensor: Tensor<Float>)]
  ) throws(RunError) -> Checkpoint? {
    var names = checkpoints
    var skipped: String?
    if previous, !names.isEmpty { skipped = names.removeFirst() }
    if previous, names.isEmpty {
      throw RunError(.noInput, "\(path): expected a checkpoint before the last one, there is none")
    }
    guard let name = names.first else { return nil }
    let bytes = try RunFiles.bytes(of: "\(path)/\(name)")
    let checkpoint: Checkpoint
    do throws(InvalidInput) {
      checkpoint = try Checkpoint(bytes, into: tensors)
    } catch {
      var advice = "there is none before it"
      if names.count > 1 {
        let scratch = tensors.map { ($0.name, Tensor<Float>(rows: $0.tensor.rows, columns: $0.tensor.columns)) }
        let older = try RunFiles.bytes(of: "\(path)/\(names[1])")
        advice =
          (try? Checkpoint(older, into: scratch)) == nil
          ? "\(names[1]) before it is damaged, too" : "\(names[1]) before it is whole: go on from it with '--previous'"
      }
      throw RunError(.wrongData, "\(path)/\(name): \(error); \(advice)")
    }
    if let skipped { unlink("\(path)/\(skipped)") }
    return checkpoint
  }
}

// MARK: - To look at

extension RunFolder {
  /// The folder and the newest checkpoint of a run, which may be going on; or the checkpoint itself, if it is one that is named.
  ///
  /// - Throws: ``RunError`` if there is none.
  static func checkpoint(at path: String) throws(RunError) -> (folder: String, file: String) {
    if path.hasSuffix(suffix) {
      let parts = path.split(separator: "/", omittingEmptySubsequences: false)
      return (parts.count == 1 ? "." : parts.dropLast().joined(separator: "/"), path)
    }
    _ = try manifest(of: path)
    guard let newest = checkpoints(in: path).first else {
      throw RunError(.noInput, "\(path): expected a checkpoint, the run has not saved one yet")
    }
    return (path, "\(path)/\(newest)")
  }

  /// Reads a checkpoint into tensors that exist.
  static func read(_ file: String, into tensors: [(name: String, tensor: Tensor<Float>)]) throws(RunError) {
    let bytes = try RunFiles.bytes(of: file)
    do throws(InvalidInput) {
      _ = try Checkpoint(bytes, into: tensors)
    } catch {
      throw RunError(.wrongData, "\(file): \(error)")
    }
  }
}
