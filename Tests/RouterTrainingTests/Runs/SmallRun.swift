import Foundation

@testable import RouterTraining

/// A run of a few milliseconds.
enum SmallRun {
  static func manifest(
    _ router: String = "switch", steps: Int = 40, checkpointEvery: Int? = 10, seed: UInt64 = 3,
    edit: (inout TrainingPlan) -> Void = { _ in }
  ) throws -> RunManifest {
    var settings = MixtureSettings()
    (settings.batch, settings.heldOut, settings.audited) = (32, 64, 4)
    (settings.width, settings.hidden) = (8, 8)
    var plan = TrainingPlan()
    (plan.steps, plan.evaluateEvery, plan.checkpointEvery) = (steps, 5, checkpointEvery)
    edit(&plan)
    return RunManifest(settings: settings, router: try TrainingRouter(router), seed: seed, plan: plan, version: "test")
  }

  /// A folder that exists for `body` only.
  static func inFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "routegrad-runs-\(UUID().uuidString)").path
    defer { RunFolder.removeAll(folder) }
    return try body(folder)
  }

  static func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

  static func write(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(filePath: path)) }
}
