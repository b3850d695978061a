import FileFormats
import LayerTensors
import MixtureOfExperts
import RoutingCore
import SystemPackage

/// A run on disk: `manifest.json`, `metrics.jsonl`, and the last two checkpoints.
///
/// Whatever moment the program is killed at, what was saved stays whole: files are replaced by renaming, and the metrics, which
/// grow, are cut back to the length that the checkpoint remembers.
public final class RunFolder {
  public let path: String
  public let manifest: RunManifest
  /// Open for appending, and locked, so that two programs never train in one folder.
  private let metrics: FileDescriptor
  private(set) var metricsBytes = 0

  private static let manifestName = "manifest.json"
  private static let metricsName = "metrics.jsonl"
  private static let keptCheckpoints = 2

  /// Makes a folder for a run.
  ///
  /// - Throws: ``Refusal`` if it cannot be made, or holds a run already.
  public init(creating path: String, _ manifest: RunManifest) throws(Refusal) {
    try RunFiles.makeFolder(path)
    self.path = path
    self.manifest = manifest
    guard FileSystem.status(of: FilePath(named: "\(path)/\(Self.manifestName)")) == nil else {
      throw Refusal(.noOutput, "\(path): holds a run already; go on with it by 'routegrad train resume \(path)'")
    }
    metrics = try Self.openMetrics(path, isNew: true)
    for file in try manifest.settings.folderFiles() { try RunFiles.replace(file.name, in: path, with: file.bytes) }
    try RunFiles.replace(Self.manifestName, in: path, with: Array(JSONWriter.indented(manifest.json).utf8))
  }

  /// Opens the folder of a run to go on with it.
  ///
  /// - Throws: ``Refusal`` if it cannot be opened, or its manifest is not one.
  public init(opening path: String) throws(Refusal) {
    self.path = path
    manifest = try Self.manifest(of: path)
    metrics = try Self.openMetrics(path, isNew: false)
    for name in RunFiles.names(in: path) ?? [] where name.hasSuffix(RunFiles.temporarySuffix) {
      RunFiles.remove("\(path)/\(name)")
    }
  }

  deinit { try? metrics.close() }

  /// The manifest of a folder.
  public static func manifest(of path: String) throws(Refusal) -> RunManifest {
    let file = "\(path)/\(manifestName)"
    let bytes = try FileReading.bytes(of: file)
    do throws(InvalidInput) {
      let value: JSONValue
      do { value = try JSONParser.parse(bytes) } catch { throw error.inFile }
      return try RunManifest(value)
    } catch {
      throw damaged(file, error)
    }
  }

  /// The metrics of a folder, as far as whole lines go.
  ///
  /// - Parameter plan: what its manifest says.
  public static func metrics(of path: String, _ plan: TrainingPlan) throws(Refusal) -> RunMetrics {
    let file = "\(path)/\(metricsName)"
    let bytes = try FileReading.bytes(of: file)
    do throws(InvalidInput) {
      return try RunMetrics(bytes, plan)
    } catch {
      throw damaged(file, error)
    }
  }

  /// Removes a folder and everything below it; symbolic links are removed, not followed.
  package static func removeAll(_ path: String) {
    if FileSystem.remove(FilePath(named: path)) { return }
    for name in RunFiles.names(in: path) ?? [] { removeAll("\(path)/\(name)") }
    FileSystem.removeFolder(FilePath(named: path))
  }

  private static func openMetrics(_ path: String, isNew: Bool) throws(Refusal) -> FileDescriptor {
    let file = "\(path)/\(metricsName)"
    let descriptor: FileDescriptor
    do {
      descriptor = try .open(
        FilePath(named: file), .readWrite,
        options: isNew ? [.create, .append, .closeOnExec] : [.append, .closeOnExec],
        permissions: FilePermissions(rawValue: 0o666))
    } catch {
      // A run that was begun has metrics, if no line of them.
      throw isNew ? AtomicFile.unwritable(file, error) : FileReading.unreadable(file, error)
    }
    guard FileSystem.lock(descriptor) else {
      try? descriptor.close()
      throw Refusal(.noOutput, "\(path): another program is training in this folder")
    }
    return descriptor
  }
}

// MARK: - Metrics

extension RunFolder {
  /// Adds a line to the metrics.
  func append(_ line: JSONValue) throws(Refusal) {
    let bytes = Array((JSONWriter.line(line) + "\n").utf8)
    try writingMetrics { try metrics.writeAll(bytes) }
    metricsBytes += bytes.count
  }

  private func writingMetrics(_ body: () throws -> Void) throws(Refusal) {
    do { try body() } catch { throw AtomicFile.unwritable("\(path)/\(Self.metricsName)", error) }
  }

  /// Cuts the metrics back to what a checkpoint remembers, or to nothing, once they have been found to go with it.
  ///
  /// - Returns: what is left of them.
  func cutMetrics(to restored: Restored?) throws(Refusal) -> RunMetrics {
    let file = "\(path)/\(Self.metricsName)"
    let length = restored?.checkpoint.metricsBytes ?? 0
    var bytes = try FileReading.bytes(of: file)
    guard bytes.count >= length else {
      throw Refusal(
        .wrongData, "\(file): damaged: expected at least \(length) bytes, as the checkpoint says, got \(bytes.count)")
    }
    bytes.removeSubrange(length...)
    let kept: RunMetrics
    do throws(InvalidInput) {
      kept = try RunMetrics(bytes, manifest.plan)
    } catch {
      throw damaged(file, error)
    }
    if let restored {
      do throws(InvalidInput) {
        try restored.checkpoint.require(kept, endsLine: bytes.last == UInt8(ascii: "\n"))
      } catch {
        throw damaged("\(path)/\(restored.name)", error)
      }
    }
    try writingMetrics { try metrics.resize(to: Int64(length)) }
    metricsBytes = length
    if let skipped = restored?.skipped { RunFiles.remove("\(path)/\(skipped)") }
    return kept
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
  func save(_ checkpoint: Checkpoint) throws(Refusal) {
    try writingMetrics { try FileSystem.synchronise(metrics) }
    try RunFiles.replace(Self.name(step: checkpoint.step), in: path, with: checkpoint.bytes)
    for name in checkpoints.dropFirst(Self.keptCheckpoints) { RunFiles.remove("\(path)/\(name)") }
  }

  /// A checkpoint that was read.
  struct Restored {
    var checkpoint: Checkpoint
    /// Its file's name.
    var name: String
    /// The newer one that is to be given up.
    var skipped: String?
  }

  /// Reads the newest checkpoint, or the one before it, into tensors that exist.
  ///
  /// - Parameters:
  ///   - previous: leave out the newest.
  /// - Returns: nil if there is none.
  /// - Throws: ``Refusal`` if it is damaged, naming the one before it if that is whole.
  func restore(
    previous: Bool, into tensors: [(name: String, tensor: Tensor<Float>)]
  ) throws(Refusal) -> Restored? {
    var names = checkpoints
    var skipped: String?
    if previous, !names.isEmpty { skipped = names.removeFirst() }
    if previous, names.isEmpty {
      throw Refusal(.noInput, "\(path): expected a checkpoint before the last one, there is none")
    }
    guard let name = names.first else { return nil }
    let bytes = try FileReading.bytes(of: "\(path)/\(name)")
    let checkpoint: Checkpoint
    do throws(InvalidInput) {
      checkpoint = try Checkpoint(bytes, into: tensors, manifest.plan)
      try Limit("the step of the file's name") { Self.name(step: $0) == name }.require("step", checkpoint.step)
    } catch {
      var advice = "there is none before it"
      if names.count > 1 {
        let scratch = tensors.map { ($0.name, Tensor<Float>(rows: $0.tensor.rows, columns: $0.tensor.columns)) }
        let older = try FileReading.bytes(of: "\(path)/\(names[1])")
        advice =
          (try? Checkpoint(older, into: scratch, manifest.plan)) == nil
          ? "\(names[1]) before it is damaged, too" : "\(names[1]) before it is whole: go on from it with '--previous'"
      }
      throw Refusal(.wrongData, "\(path)/\(name): \(error.description.onOneLine); \(advice)")
    }
    return Restored(checkpoint: checkpoint, name: name, skipped: skipped)
  }
}

extension RunFolder {
  /// Removes what a run would be gone on with from.
  func removeCheckpoints() {
    for name in Self.checkpoints(in: path) { RunFiles.remove("\(path)/\(name)") }
  }
}

// MARK: - To look at

extension RunFolder {
  /// The folder and the newest checkpoint of a run, which may be going on; or the checkpoint itself, if it is one that is named.
  ///
  /// - Throws: ``Refusal`` if there is none.
  static func checkpoint(at path: String) throws(Refusal) -> (folder: String, file: String) {
    if path.hasSuffix(suffix) {
      let parts = path.split(separator: "/", omittingEmptySubsequences: false)
      return (parts.count == 1 ? "." : parts.dropLast().joined(separator: "/"), path)
    }
    _ = try manifest(of: path)
    guard let newest = checkpoints(in: path).first else {
      throw Refusal(.noInput, "\(path): expected a checkpoint, the run has not saved one yet")
    }
    return (path, "\(path)/\(newest)")
  }

  /// Reads a checkpoint into tensors that exist.
  static func read(
    _ file: String, into tensors: [(name: String, tensor: Tensor<Float>)], _ plan: TrainingPlan
  ) throws(Refusal) {
    let bytes = try FileReading.bytes(of: file)
    do throws(InvalidInput) {
      _ = try Checkpoint(bytes, into: tensors, plan)
    } catch {
      throw damaged(file, error)
    }
  }
}

/// What is wrong with a file, whatever it holds on one line.
private func damaged(_ file: String, _ complaint: InvalidInput) -> Refusal {
  Refusal(.wrongData, "\(file): \(complaint.description.onOneLine)")
}
