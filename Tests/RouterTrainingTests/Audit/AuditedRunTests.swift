import FileFormats
import Foundation
import RoutingCore
import Testing

@testable import RouterTraining

/// Audits within runs: they change nothing, depend on nothing, and can be interrupted anywhere.
struct AuditedRunTests {
  private static func text(_ folder: String) throws -> String {
    let path = "\(folder)-text"
    try SmallRun.write(
      Array(String(repeating: "the quick brown fox jumps over the lazy dog. ", count: 12).utf8), path)
    return path
  }

  private static func shape(_ shape: inout TransformerShape) {
    (shape.width, shape.heads, shape.layers, shape.hidden, shape.experts) = (8, 2, 2, 6, 3)
    (shape.expertsEvery, shape.dropout) = (1, 0.1)
  }

  /// A language model of a few milliseconds a step.
  private static func language(
    _ folder: String, _ router: String, auditEvery: Int? = 3, auditTokens: Int = 1, heldOut: Int = 30,
    capacity: Double? = nil
  ) throws -> RunManifest {
    var settings = LanguageSettings(text: try text(folder))
    (settings.context, settings.batch, settings.heldOutPercent) = (6, 3, heldOut)
    shape(&settings.shape)
    settings.shape.capacityFactor = capacity
    return RunManifest(
      settings: settings, router: try TrainingRouter(router), seed: 4, plan: plan(auditEvery, auditTokens),
      version: "test")
  }

  private static func translation(_ router: String, auditEvery: Int? = 3, auditTokens: Int = 1) throws -> RunManifest {
    var settings = TranslationSettings()
    settings.model.context = 24
    settings.model.batchTokens = 48
    shape(&settings.shape)
    return RunManifest(
      settings: settings, router: try TrainingRouter(router), seed: 4, plan: plan(auditEvery, auditTokens),
      version: "test")
  }

  private static func plan(_ auditEvery: Int?, _ auditTokens: Int) -> TrainingPlan {
    var plan = TrainingPlan()
    (plan.steps, plan.evaluateEvery, plan.warmUp, plan.clip) = (6, 4, 1, 0.5)
    (plan.auditEvery, plan.auditTokens) = (auditEvery, auditEvery == nil ? 0 : auditTokens)
    return plan
  }

  private static func removeText(_ folder: String) { RunFiles.remove("\(folder)-text") }

  /// Parameters, Adam's moments and what the model keeps, and the metrics.
  private static func result(
    _ manifest: RunManifest, in folder: String, threads: Int = 1
  ) throws -> (tensors: [[Float]], metrics: RunMetrics, bytes: [UInt8]) {
    let trainer = try Trainer(RunFolder(creating: folder, manifest))
    #expect(try trainer.run(threads: threads) == .finished)
    let bytes = try SmallRun.bytes("\(folder)/metrics.jsonl")
    let file = try SafeTensors(SmallRun.bytes("\(folder)/checkpoint-00000006.safetensors"))
    let tensors = Checkpoint.tensors(of: trainer.model, AdamOptimiser(trainer.model.parameters)).map(\.name).map {
      name in
      var values = [Float](repeating: 0, count: file.tensors[name]?.shape.reduce(1, *) ?? 0)
      values.withUnsafeMutableBufferPointer { if let start = $0.baseAddress { file.copyFloats(name, to: start) } }
      return values
    }
    return (tensors, try RunMetrics(bytes, manifest.plan), bytes)
  }

  @Test(arguments: ["switch", "sparsemixer", "default-moe", "base", "gshard", "top-k"])
  func auditsChangeNothing(router: String) throws {
    let tokens = ["switch", "sparsemixer"].contains(router) ? 2 : 0
    for capacity in [nil, 1.0] {
      try SmallRun.inFolder { folder in
        defer { Self.removeText(folder) }
        let without = try Self.result(
          Self.language(folder, router, auditEvery: nil, capacity: capacity), in: "\(folder)/without")
        let with = try Self.result(
          Self.language(folder, router, auditTokens: tokens, capacity: capacity), in: "\(folder)/with")
        #expect(with.tensors == without.tensors && with.tensors.count > 60)
        #expect(without.metrics.lines.allSatisfy { $0.networkAudit == nil })
        let audits = with.metrics.lines.filter { $0.networkAudit != nil }
        #expect(audits.map(\.step) == [3, 6])
        for audit in audits.compactMap(\.networkAudit) {
          #expect(audit.layers.map(\.name) == ["blocks.0", "blocks.1"])
          // Three windows of six; two tokens of them.
          #expect(audit.layers.allSatisfy { $0.tokens == 18 && $0.contrast?.tokens == (tokens > 0 ? 2 : nil) })
        }
      }
    }
  }

  @Test(arguments: ["switch", "sparsemixer:mask=none"])
  func translationsHaveAudits(router: String) throws {
    try SmallRun.inFolder { folder in
      let without = try Self.result(Self.translation(router, auditEvery: nil), in: "\(folder)/without")
      let with = try Self.result(Self.translation(router, auditTokens: 2), in: "\(folder)/with")
      #expect(with.tensors == without.tensors)
      let audit = try #require(with.metrics.lines.last?.networkAudit)
      #expect(
        audit.layers.map(\.name) == ["encoder.blocks.0", "encoder.blocks.1", "decoder.blocks.0", "decoder.blocks.1"])
      #expect(audit.layers.allSatisfy { $0.contrast?.tokens == 2 && ($0.contrast?.targetNorm ?? 0) > 0 })
      let several = try Self.result(Self.translation(router, auditTokens: 2), in: "\(folder)/several", threads: 3)
      #expect(several.bytes == with.bytes)
    }
  }

  /// Without held-out text the first windows of the text are taken.
  @Test func thereNeedBeNoHeldOutText() throws {
    try SmallRun.inFolder { folder in
      defer { Self.removeText(folder) }
      let result = try Self.result(Self.language(folder, "switch", heldOut: 0), in: folder)
      #expect(result.metrics.lines.compactMap(\.networkAudit).count == 2)
    }
  }

  @Test(arguments: ["switch", "argmax-midpoint", "reinforce:baseline=0.1", "dense-backward"])
  func threadsChangeNoByte(router: String) throws {
    try SmallRun.inFolder { folder in
      defer { Self.removeText(folder) }
      let one = try Self.result(Self.language(folder, router, auditTokens: 3), in: "\(folder)/one")
      for threads in [2, 5] {
        let several = try Self.result(
          Self.language(folder, router, auditTokens: 3), in: "\(folder)/\(threads)", threads: threads)
        #expect(several.bytes == one.bytes)
      }
    }
  }

  /// Interrupted at the n-th question, whatever it comes in the middle of, a run comes to the same bytes.
  ///
  /// - Parameter moments: the number of questions that are answered so, each in a run of its own.
  private static func interrupting(
    _ manifest: RunManifest, in folder: String, threads: Int, moments: Int
  ) throws {
    let last = "checkpoint-\(manifest.plan.steps < 10 ? "0000000" : "000000")\(manifest.plan.steps).safetensors"
    var questions = 0
    _ = try Trainer(RunFolder(creating: "\(folder)/whole", manifest)).run(
      threads: threads,
      isInterrupted: {
        questions += 1
        return false
      })
    let expected = try [last, "metrics.jsonl"].map { try SmallRun.bytes("\(folder)/whole/\($0)") }
    #expect(questions > manifest.plan.steps)
    var withinAudits = 0
    for stop in Set((0..<moments).map { (2 * $0 + 1) * questions / (2 * moments) + 1 }).sorted() {
      let path = "\(folder)/\(stop)"
      try withInterrupted(manifest, path, threads: threads, after: stop) { isDue in withinAudits += isDue ? 1 : 0 }
      #expect(try Trainer(RunFolder(opening: path)).run(threads: threads) == .finished)
      #expect(try [last, "metrics.jsonl"].map { try SmallRun.bytes("\(path)/\($0)") } == expected, "question \(stop)")
    }
    #expect(withinAudits > 0)
  }

  /// Begins a run and interrupts it; tells whether a line is still to be written. The lock goes with the trainer.
  private static func withInterrupted(
    _ manifest: RunManifest, _ path: String, threads: Int, after stop: Int, _ body: (Bool) -> Void
  ) throws {
    var question = 0
    let trainer = try Trainer(RunFolder(creating: path, manifest))
    #expect(
      try trainer.run(
        threads: threads,
        isInterrupted: {
          question += 1
          return question >= stop
        }) == .interrupted)
    #expect(try RunFiles.names(in: path)?.contains { $0.hasPrefix("checkpoint-") } == true)
    let lines = try RunFolder.metrics(of: path, manifest.plan).lines
    let plan = manifest.plan
    body(
      trainer.step > (lines.last?.step ?? 0)
        && (trainer.step == plan.steps || plan.isDue(plan.auditEvery, trainer.step)))
  }

  @Test(arguments: [("sparsemixer", 1), ("switch", 2)])
  func languageModelsAreInterruptedInAudits(router: String, threads: Int) throws {
    try SmallRun.inFolder { folder in
      defer { Self.removeText(folder) }
      try Self.interrupting(Self.language(folder, router, auditTokens: 2), in: folder, threads: threads, moments: 12)
    }
  }

  @Test(arguments: [("switch", 2, 2), ("null-contrast", 1, 8), ("sparsemixer", 3, 8)])
  func mixturesAreInterruptedInAudits(router: String, threads: Int, moments: Int) throws {
    try SmallRun.inFolder { folder in
      var manifest = try SmallRun.manifest(router, steps: 6, checkpointEvery: nil) { plan in
        (plan.evaluateEvery, plan.auditEvery, plan.clip) = (4, 3, 1e-3)
      }
      // Integrals over jitter are slow without optimisation.
      var settings = MixtureSettings()
      (settings.batch, settings.heldOut, settings.audited) = (8, 8, 4)
      (settings.experts, settings.width, settings.hidden) = (3, 4, 4)
      manifest.settings = settings
      try Self.interrupting(manifest, in: folder, threads: threads, moments: moments)
    }
  }

  @Test func requestsThatMakeNoSenseAreRefused() throws {
    try SmallRun.inFolder { folder in
      defer { Self.removeText(folder) }
      for router in ["top-k", "gshard", "base", "default-moe", "sparsemixer-v2-top2", "switch:jitter=input"] {
        let error = #expect(throws: InvalidInput.self) { try Self.language(folder, router).validate() }
        #expect(error?.path == "auditTokens" && error?.expectation.contains("one by one") == true, "\(router)")
        try Self.language(folder, router, auditTokens: 0).validate()
      }
      var manifest = try Self.language(folder, "switch")
      manifest.plan.auditEvery = nil
      #expect(throws: InvalidInput.self) { try manifest.validate() }
      var settings = LanguageSettings(text: "text")
      settings.shape.expertsEvery = 0
      manifest = try Self.language(folder, "switch")
      manifest.settings = settings
      #expect(throws: InvalidInput.self) { try manifest.validate() }
      manifest = try SmallRun.manifest { plan in (plan.auditEvery, plan.auditTokens) = (3, 1) }
      let error = #expect(throws: InvalidInput.self) { try manifest.validate() }
      #expect(error?.path == "auditTokens")
      #expect(throws: InvalidInput.self) { try RunManifest(manifest.json) }
      // As it was before there were any.
      #expect(!JSONWriter.line(try SmallRun.manifest().json).contains("auditTokens"))
      let read = try RunManifest(Self.language(folder, "switch").json)
      #expect(read.plan.auditTokens == 1)
    }
  }

  // MARK: - Lines

  private static let line = """
    {"step": 3, "heldOut": {}, "audit": {"target": "dense-backward", "layers": [{"name": "blocks.1", "experts": 8, "tokens": 16, \
    "logits": {"targetNorm": 0.1, "relativeBias": 0.5, "cosine": 0.9, "unseen": 0.25}, \
    "weight": {"targetNorm": 0.2, "relativeBias": null, "cosine": null, "unseen": null}, "largestLoad": 1.5, "unused": 2, \
    "turnedAway": 0, "contrast": {"tokens": 4, "targetNorm": 0.01, "relativeBias": 0.4, "relativeStandardDeviation": null, \
    "cosine": 0.8, "dense": {"relativeBias": 0.3, "cosine": 0.7}}}]}}
    """

  private static func read(_ line: String) throws(InvalidInput) -> RunMetrics.Line {
    let text = "{\"step\": 0, \"heldOut\": {}}\n\(line)\n"
    guard let last = try RunMetrics(Array(text.utf8), TrainingPlan()).lines.last else { return .init(step: -1) }
    return last
  }

  @Test func linesReadBack() throws {
    let audit = try #require(try Self.read(Self.line).networkAudit)
    #expect(JSONWriter.line(["step": JSONValue(3), "heldOut": .object([]), "audit": audit.json]) == Self.line)
    #expect(audit.layers[0].contrast?.denseCosine == 0.7 && audit.layers[0].weight.cosine == nil)
  }

  @Test(arguments: [
    ("\"unused\": 2", "\"unused\": -1", "audit.layers[0].unused"),
    ("\"unused\": 2, ", "", "audit.layers[0].unused"),
    ("\"target\": \"dense-backward\"", "\"target\": \"dense\"", "audit.target"),
    ("\"cosine\": 0.9", "\"cosine\": 1.5", "audit.layers[0].logits.cosine"),
    ("\"unseen\": 0.25", "\"unseen\": 2", "audit.layers[0].logits.unseen"),
    ("\"targetNorm\": 0.2", "\"targetNorm\": null", "audit.layers[0].weight.targetNorm"),
    ("\"relativeBias\": 0.3", "\"relativeBias\": \"x\"", "audit.layers[0].contrast.dense.relativeBias"),
    ("\"tokens\": 4", "\"tokens\": 0.5", "audit.layers[0].contrast.tokens"),
    ("\"name\": \"blocks.1\"", "\"nom\": \"blocks.1\"", "audit.layers[0].nom"),
    ("\"layers\": [{", "\"layers\": [1, {", "audit.layers[0]"),
  ])
  func damagedLinesAreRefused(from: String, to: String, place: String) throws {
    let error = #expect(throws: InvalidInput.self) {
      try Self.read(Self.line.replacingOccurrences(of: from, with: to))
    }
    #expect(error?.description.contains(place) == true, "\(error?.description ?? "")")
  }
}
