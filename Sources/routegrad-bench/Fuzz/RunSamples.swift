import FileFormats
import Foundation
import RouteGrad
import RouteGradTraining
import RouterTraining

/// Folders of short runs as `routegrad train` leaves them, made once.
struct RunSamples: Sendable {
  /// Names within the folder, and bytes.
  typealias Folder = [FuzzCase.File]

  var mixture: Folder
  var language: Folder
  var translation: Folder
  /// Four runs, two routers on two seeds, without checkpoints, as `compare` keeps them, and the file of a sweep.
  var comparison: Folder

  /// The text that the language model's run began with.
  static let text = Array("to be or not to be that is the question\nwhether it is nobler to be\n".utf8)
  static let source = Array("a small dog\nthe cat sees a dog\na horse\n".utf8)
  static let target = Array("ein kleiner hund\ndie katze sieht einen hund\nein pferd\n".utf8)

  /// Trains in a folder that exists, and reads what was written.
  ///
  /// - Throws: an error of training; never on a machine with a little space.
  init(in scratch: String) throws {
    func train(_ settings: any ModelSettings, _ router: String, seed: UInt64, keepsCheckpoints: Bool = true) throws
      -> Folder
    {
      var plan = TrainingPlan()
      (plan.steps, plan.evaluateEvery, plan.checkpointEvery, plan.auditEvery) = (4, 2, 2, nil)
      if !keepsCheckpoints { (plan.auditEvery, plan.checkpointEvery) = (4, nil) }
      let path = "\(scratch)/\(settings.id)-\(router)-\(seed)"
      let manifest = RunManifest(
        settings: settings, router: try TrainingRouter(router), seed: seed, plan: plan, version: "0.1.0")
      _ = try Trainer(RunFolder(creating: path, manifest), keepsCheckpoints: keepsCheckpoints).run(threads: 1)
      return try FileManager.default.contentsOfDirectory(atPath: path).sorted().map { name in
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: "\(path)/\(name)")))
        if name == "manifest.json" {
          // Cases find the texts beside them.
          bytes = Array(String(decoding: bytes, as: UTF8.self).replacing("\(scratch)/", with: "").utf8)
        }
        return .init(name, bytes)
      }
    }
    for (name, bytes) in [("text.txt", Self.text), ("source.txt", Self.source), ("target.txt", Self.target)] {
      try Data(bytes).write(to: URL(filePath: "\(scratch)/\(name)"))
    }
    var mixture = MixtureSettings()
    (mixture.batch, mixture.heldOut, mixture.audited, mixture.experts) = (4, 8, 4, 3)
    (mixture.width, mixture.hidden) = (4, 4)
    var shape = TransformerShape()
    (shape.width, shape.heads, shape.layers, shape.hidden, shape.experts) = (4, 2, 2, 4, 2)
    var language = LanguageSettings(text: "\(scratch)/text.txt")
    (language.context, language.batch, language.shape) = (4, 2, shape)
    var translation = TranslationSettings()
    translation.training = .init(source: "\(scratch)/source.txt", target: "\(scratch)/target.txt")
    translation.heldOut = translation.training
    translation.shape = shape
    (translation.model.context, translation.model.batchTokens) = (12, 16)
    self.mixture = try train(mixture, "sparsemixer", seed: 1)
    self.language = try train(language.withFingerprint(), "switch", seed: 1)
    self.translation = try train(translation.withFingerprints(), "switch", seed: 1)
    comparison = try ["switch", "exact"].flatMap { router in
      try [0, 1].flatMap { seed in
        try train(mixture, router, seed: seed, keepsCheckpoints: false).map { file in
          var file = file
          file.name = Array("\(router)/seed-\(seed)/".utf8) + file.name
          return file
        }
      }
    }
    var plan = TrainingPlan()
    (plan.steps, plan.evaluateEvery) = (4, 2)
    let sweep = Sweep(
      settings: mixture, plan: plan, routers: [try TrainingRouter("switch"), try TrainingRouter("exact")], seeds: 0..<2,
      grid: TuningGrid(
        seeds: TuningGrid.firstSeed..<TuningGrid.firstSeed + 1, rates: [0.01, 0.02], loadBalances: [0, 0.1],
        zLosses: [0, 0.001]), points: [], notes: ["a remark"], version: "0.1.0", commit: nil)
    comparison.append(.init(Sweep.fileName, Array(sweep.text.utf8)))
  }
}
