import Foundation
import MyTraining
import RouteGrad
import RouteGradTraining
import Testing

/// Training with what the library makes public: a run, its end and its beginning anew, and what is read of it.
struct TrainingTests {
  /// Stopped after 20 of 40 steps and gone on with, a run has the metrics of one that nothing stopped, to the byte.
  @Test func aRunIsResumed() throws {
    try withFolder { folder in
      var plan = TrainingPlan()
      (plan.steps, plan.evaluateEvery, plan.auditEvery, plan.checkpointEvery) = (40, 10, 20, 10)
      let manifest = try RunManifest(small, router: TrainingRouter("sparsemixer"), seed: 3, plan: plan)
      _ = try Trainer(RunFolder(creating: "\(folder)/whole", manifest)).run(threads: 2)
      try stop(manifest, in: "\(folder)/parts", after: 20)
      #expect(!(try RunFolder.metrics(of: "\(folder)/parts", plan).isComplete(plan)))
      #expect(try Trainer(RunFolder(opening: "\(folder)/parts")).run(threads: 1) == .finished)

      let metrics = try ["whole", "parts"].map { try Data(contentsOf: URL(filePath: "\(folder)/\($0)/metrics.jsonl")) }
      #expect(metrics[0] == metrics[1])
      let read = try RunFolder.metrics(of: "\(folder)/parts", RunFolder.manifest(of: "\(folder)/parts").plan)
      #expect(read.isComplete(plan) && read.lines.map(\.step) == [0, 10, 20, 30, 40])
      let losses = read.lines.compactMap(\.loss)
      #expect(losses.count == 5 && losses[4] < losses[0])
      let audit = try #require(read.lines[4].audit)
      #expect(audit.targetNorm > 0 && audit.relativeBias > 0 && audit.relativeDeviation > 0 && audit.cosine <= 1)
    }
  }

  /// What cannot be trained is refused when it is described, by the name of the setting.
  @Test func settingsAreLookedAt() throws {
    var plan = TrainingPlan()
    plan.steps = 0
    let (router, endless) = (try TrainingRouter("switch"), plan)
    let error = #expect(throws: InvalidInput.self) { try RunManifest(small, router: router, plan: endless) }
    #expect(error?.path == "steps")
    #expect(throws: InvalidEstimator.self) { try TrainingRouter("swich") }
  }

  /// Every figure of a comparison can be read as well as printed.
  @Test func runsAreCompared() throws {
    try withFolder { folder in
      let table = try smallComparison(in: folder)
      #expect(
        table.contains("switch") && table.contains("exact") && table.contains("50 steps, 2 seeds, against switch"))
      let comparison = try Comparison(RunCollection(below: folder), baseline: "switch")
      #expect(comparison.baseline == "switch" && comparison.unfinished.isEmpty)
      let exact = try #require(comparison.entries.first { $0.label == "exact" })
      #expect(exact.finalLosses.count == 2 && exact.diverged == 0 && exact.wins.of == 2 && exact.learningRate == 0.02)
      let difference = try #require(exact.difference)
      #expect(difference.count == 2 && difference.interval?.contains(difference.mean) == true)
      let speedUp = try #require(exact.speedUp)
      #expect(speedUp.interval?.contains(speedUp.value) == true)
      #expect(exact.runs.map(\.manifest.seed) == [1, 2])
    }
  }

  /// The guide shows this file as it stands.
  @Test func theGuideShowsTheComparison() throws {
    let package = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized
    let guide = try String(contentsOf: package.appending(path: "../../docs/guides/training.md"), encoding: .utf8)
    let code = try String(
      contentsOf: package.appending(path: "Sources/MyTraining/SmallComparison.swift"), encoding: .utf8)
    #expect(guide.contains("```swift\n\(code)```\n"), "docs/guides/training.md does not show SmallComparison.swift")
  }

  private var small: MixtureSettings {
    var settings = MixtureSettings()
    (settings.kind, settings.shared, settings.batch, settings.experts, settings.loadBalance) = (
      .regression, 0.5, 64, 4, 0.01
    )
    return settings
  }

  /// Trains so many steps, and lets go of the folder.
  private func stop(_ manifest: RunManifest, in folder: String, after steps: Int) throws {
    var seen = 0
    let trainer = try Trainer(RunFolder(creating: folder, manifest))
    let outcome = try trainer.run(threads: 1, onProgress: { seen = $0.step }, isInterrupted: { seen >= steps })
    #expect(outcome == .interrupted && trainer.step == steps)
    // Who trains in a folder has it for itself.
    #expect(throws: Refusal.self) { try RunFolder(opening: folder) }
  }

  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = URL.temporaryDirectory.appending(path: "routegrad-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path(percentEncoded: false))
  }
}
