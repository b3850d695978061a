import FileFormats
import RoutingCore
import SystemPackage

/// A complete run, as its folder has it.
public struct RunRecord: Sendable {
  public var manifest: RunManifest
  public var metrics: RunMetrics
  /// Where it was found.
  public var path: String

  /// The held-out losses; nil if the run diverged or nothing was held out.
  package var curve: LossCurve? {
    let lines = metrics.lines.filter { $0.loss != nil }
    guard !lines.isEmpty, metrics.lines.last?.stopped != .diverged else { return nil }
    return LossCurve(steps: lines.map(\.step), losses: lines.compactMap(\.loss))
  }
}

/// The runs below a folder.
public struct RunCollection: Sendable {
  /// Complete runs, by path.
  public var records: [RunRecord] = []
  /// The folders of runs that are not complete.
  public var unfinished: [String] = []

  /// Reads every run in a folder and in those below it, but for what `compare --tune` left in folders of its own.
  ///
  /// - Throws: ``Refusal`` if there is none, or a manifest or metrics are damaged.
  public init(below folder: String) throws(Refusal) {
    do { _ = try FileSystem.names(in: FilePath(named: folder)) } catch { throw FileReading.unreadable(folder, error) }
    try collect(folder, depth: 0)
    guard !records.isEmpty || !unfinished.isEmpty else {
      throw Refusal(.noInput, "\(folder): expected folders of runs (manifest.json), there are none")
    }
  }

  /// Reads the runs in some folders.
  ///
  /// - Throws: ``Refusal`` if a manifest or metrics are damaged or missing.
  package init(in folders: [String]) throws(Refusal) {
    for folder in folders { try add(folder) }
  }

  private mutating func collect(_ folder: String, depth: Int) throws(Refusal) {
    guard depth < 6, let names = RunFiles.names(in: folder) else { return }
    guard names.contains("manifest.json") else {
      for name in names where name != Sweep.tuningName { try collect("\(folder)/\(name)", depth: depth + 1) }
      return
    }
    try add(folder)
  }

  private mutating func add(_ folder: String) throws(Refusal) {
    let manifest = try RunFolder.manifest(of: folder)
    let metrics = try RunFolder.metrics(of: folder, manifest.plan)
    if metrics.isComplete(manifest.plan) {
      records.append(RunRecord(manifest: manifest, metrics: metrics, path: folder))
    } else {
      unfinished.append(folder)
    }
  }
}
