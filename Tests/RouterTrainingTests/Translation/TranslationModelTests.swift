import Foundation
import MixtureOfExperts
import RoutingCore
import Testing

@testable import RouterTraining

/// The translation model on the corpus that ships with the program, whole and in a run.
struct TranslationModelTests {
  private static func settings() -> TranslationSettings {
    var settings = TranslationSettings()
    (settings.model.context, settings.model.batchTokens) = (24, 192)
    (settings.shape.width, settings.shape.heads, settings.shape.layers) = (32, 2, 2)
    (settings.shape.hidden, settings.shape.experts, settings.shape.dropout) = (32, 2, 0.1)
    return settings
  }

  private static func plan(steps: Int) -> TrainingPlan {
    var plan = TrainingPlan()
    (plan.steps, plan.learningRate, plan.warmUp) = (steps, 0.01, 20)
    (plan.evaluateEvery, plan.checkpointEvery, plan.clip) = (steps, 2, 1)
    return plan
  }

  private static func folder(_ body: (String) throws -> Void) throws {
    let url = FileManager.default.temporaryDirectory.appending(path: "routegrad-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: url) }
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    try body(url.path)
  }

  private static func manifest(_ settings: TranslationSettings, steps: Int) throws -> RunManifest {
    RunManifest(
      settings: settings, router: try TrainingRouter("switch"), seed: 3, plan: plan(steps: steps), version: "test")
  }

  @Test func theMadeCorpusIsWhatItIs() throws {
    let corpus = try Self.settings().corpus()
    let heldOut = try #require(corpus.heldOut)
    #expect(corpus.training.pairs.count == MadeCorpus.trainingPairs)
    #expect(heldOut.text.pairs.count == MadeCorpus.heldOutPairs)
    #expect(heldOut.text.counts.unknown == 0)
    let known = Set(corpus.training.pairs.map(\.source))
    #expect(heldOut.text.pairs.allSatisfy { !known.contains($0.source) })
    let texts = try MadeCorpus.texts().training
    #expect(texts[0][0] == "often a bi@@ cycle will see a clock .")
    #expect(texts[1][0] == "oft wird ein fahr@@ rad eine uhr sehen .")
  }

  /// From log 92 = 4.5 to below 3 in forty steps; the same at every run.
  @Test func learns() throws {
    let settings = Self.settings()
    let model = try settings.model(router: TrainingRouter("switch"), seed: 3)
    let adam = AdamOptimiser(model.parameters, clip: 1)
    for k in 0..<40 {
      _ = try model.step(k, threads: 2)
      adam.update(rate: 0.01 * min(1, Double(k + 1) / 20))
    }
    let loss = try #require(try model.evaluate(threads: 2)["loss"])
    #expect(loss < 3, "\(loss)")
  }

  /// Stopped in the middle and gone on with, a run leaves the same bytes; and what it has trained translates.
  @Test func resumesToTheSameBytes() throws {
    try Self.folder { folder in
      let manifest = try Self.manifest(Self.settings(), steps: 6)
      let whole = try Trainer(RunFolder(creating: folder + "/whole", manifest))
      #expect(try whole.run(threads: 2) == .finished)
      var steps = 0
      do {
        let first = try Trainer(RunFolder(creating: folder + "/parts", manifest))
        let outcome = try first.run(threads: 1, onProgress: { _ in steps += 1 }, isInterrupted: { steps == 3 })
        #expect(outcome == .interrupted)
      }
      #expect(try Trainer(RunFolder(opening: folder + "/parts")).run(threads: 1) == .finished)
      for name in ["checkpoint-00000006.safetensors", "metrics.jsonl", "vocabulary.txt"] {
        let both = try ["whole", "parts"].map { try Data(contentsOf: URL(filePath: "\(folder)/\($0)/\(name)")) }
        #expect(both[0] == both[1], "\(name)")
      }
      let text = try TextLines(Array("the dog sees a cat .\n\nfoo\n".utf8), name: "text")
      let translated = try TranslationSettings.trained(folder + "/parts").translate(text, BeamOptions(), threads: 2)
      let model = try #require(whole.model as? TranslationModel)
      #expect(try model.translate(text, BeamOptions(), threads: 1) == translated)
      #expect(translated.lines.count == 3 && translated.lines[1].isEmpty)
      #expect(translated.unknown == 1)
      let file = folder + "/parts/checkpoint-00000006.safetensors"
      #expect(try TranslationSettings.trained(file).translate(text, BeamOptions(), threads: 1) == translated)
    }
  }

  @Test func longLinesAreCut() throws {
    var settings = Self.settings()
    settings.model.context = 16
    let model = try #require(try settings.model(router: TrainingRouter("switch"), seed: 1) as? TranslationModel)
    let long = String(repeating: "dog ", count: 40)
    let short = String(repeating: "dog ", count: 15)
    func translated(_ line: String) throws -> TranslatedText {
      try model.translate(TextLines(Array(line.utf8), name: "text"), BeamOptions(), threads: 1)
    }
    #expect(try translated(long).cut == 1 && translated(short).cut == 0)
    #expect(try translated(long).lines == translated(short).lines)
  }

  /// Files are known again by length and checksum.
  @Test func changedFilesAreNoticed() throws {
    try Self.folder { folder in
      for (name, text) in [("s", "a b\nb a\n"), ("t", "x y\ny x\n")] {
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
      }
      var settings = Self.settings()
      settings.training = .init(source: folder + "/s", target: folder + "/t")
      settings = try settings.withFingerprints()
      #expect(try settings.corpus().training.pairs.count == 2)
      let readBack = try TranslationSettings(id: "translation", .init(settings.json, of: "settings"))
      #expect(readBack == settings)
      try Data("x y\ny y\n".utf8).write(to: URL(filePath: "\(folder)/t"))
      #expect(throws: Refusal.self) { try readBack.corpus() }
    }
  }

  @Test(arguments: [
    "switch", "switch:jitter=input,scale=false", "masked-switch", "sparsemixer",
    "sparsemixer:rule=midpoint,mask=paper", "sparsemixer:rule=first-order,mask=none", "sparsemixer-v2",
    "sparsemixer-v2:argmax-rule=false", "sparsemixer-v2-top2", "argmax-midpoint", "reinforce", "dense-backward",
    "default-moe", "gshard", "base", "top-k", "top-k:k=3,score=sigmoid",
  ])
  func everyRouterThatWorksAtDepthTrains(router: String) throws {
    let model = try Self.settings().model(router: TrainingRouter(router), seed: 2)
    let result = try model.step(0, threads: 1)
    #expect(result.loss.isFinite && result.loss > 1)
    for parameter in model.parameters where parameter.name.hasSuffix("switch.router.weight") {
      #expect(parameter.gradient.values.allSatisfy { $0.isFinite }, "\(parameter.name)")
      #expect(parameter.gradient.values.contains { $0 != 0 }, "\(parameter.name)")
    }
    #expect(model.parameters.contains { $0.name.hasSuffix("switch.scale") } == !router.contains("scale=false"))
    #expect(try #require(model.evaluate(threads: 1)["loss"]).isFinite)
  }

  @Test func routersThatNeedTheLossAreRefused() throws {
    #expect(throws: InvalidInput.self) { try Self.settings().model(router: TrainingRouter("exact"), seed: 1) }
  }
}
