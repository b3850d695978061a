import FileFormats
import RoutingCore
import Synchronization

/// What decides a ``TranslationModel`` besides router and seed: files, how they are divided into tokens, and sizes.
package struct TranslationSettings: Sendable, Equatable {
  /// Two files, line by line translations of each other, and what they were when the run began.
  package struct Files: Sendable, Equatable {
    package var source, target: String
    package var fingerprints = ["", ""]

    package init(source: String, target: String) {
      self.source = source
      self.target = target
    }
  }

  /// What is trained on; nil: the corpus that ships with the program.
  package var training: Files?
  /// What is held out; nil: nothing, or what the made corpus holds out.
  package var heldOut: Files?
  package var unit = Vocabulary.Unit.words
  /// The most words of both languages together; others are unknown. nil: all.
  package var vocabularyLimit: Int?
  package var model = TranslationModel.Settings()
  package var shape = TransformerShape()
  private let cache = Cache()

  package init() {}

  /// The name of the file in a run's folder that has the words.
  static let vocabularyFile = "vocabulary.txt"
}

// MARK: - Files

extension TranslationSettings {
  /// Texts with their vocabulary, numbered.
  package struct Corpus: Sendable {
    package var vocabulary: Vocabulary
    package var training: ParallelText
    package var heldOut: TranslationModel.HeldOut?
  }

  /// Reads the files, once: large ones take minutes.
  ///
  /// - Throws: ``Refusal`` that names file and line.
  package func corpus() throws(Refusal) -> Corpus {
    let settings = JSONWriter.line(json)
    if let last = cache.last.withLock({ $0 }), last.settings == settings { return last.corpus }
    let corpus = try readCorpus()
    cache.last.withLock { $0 = (settings, corpus) }
    return corpus
  }

  /// What the files were read as, and the settings that they were read by.
  private final class Cache: Equatable, Sendable {
    let last = Mutex<(settings: String, corpus: Corpus)?>(nil)

    /// Settings are equal whatever has been read.
    static func == (a: Cache, b: Cache) -> Bool { true }
  }

  private func readCorpus() throws(Refusal) -> Corpus {
    do {
      var texts: (training: [TextLines], heldOut: [TextLines]) = ([], [])
      if let training {
        texts.training = try training.lines()
        texts.heldOut = try heldOut?.lines() ?? []
      } else {
        texts = try MadeCorpus.texts()
      }
      try TextLines.requireParallel(texts.training[0], texts.training[1])
      let vocabulary = unit == .bytes ? .bytes : Vocabulary(of: texts.training, limit: vocabularyLimit)
      let heldOut =
        texts.heldOut.isEmpty
        ? nil
        : try TranslationModel.HeldOut(
          source: texts.heldOut[0], target: texts.heldOut[1], vocabulary: vocabulary, context: model.context)
      return Corpus(
        vocabulary: vocabulary,
        training: try ParallelText(
          source: texts.training[0], target: texts.training[1], vocabulary: vocabulary, context: model.context),
        heldOut: heldOut)
    } catch let error as Refusal {
      throw error
    } catch {
      throw Refusal(.wrongData, "\(error)")
    }
  }

  /// These settings, for the files as they are now.
  package func withFingerprints() throws(Refusal) -> TranslationSettings {
    var settings = self
    try settings.training?.take()
    try settings.heldOut?.take()
    return settings
  }
}

extension TranslationSettings.Files {
  fileprivate mutating func take() throws(Refusal) {
    for (k, path) in [source, target].enumerated() {
      fingerprints[k] = RunFiles.fingerprint(of: try FileReading.bytes(of: path))
    }
  }

  fileprivate func lines() throws -> [TextLines] {
    var texts: [TextLines] = []
    for (path, fingerprint) in zip([source, target], fingerprints) {
      let bytes = try FileReading.bytes(of: path)
      guard fingerprint.isEmpty || fingerprint == RunFiles.fingerprint(of: bytes) else {
        throw Refusal(.wrongData, "\(path): expected the file that the run began with (\(fingerprint)), got another")
      }
      texts.append(try TextLines(bytes, name: path))
    }
    return texts
  }

  fileprivate var json: JSONValue {
    [
      "source": .string(source), "target": .string(target),
      "fingerprints": .array(fingerprints.map { .string($0) }),
    ]
  }
}

// MARK: - In a manifest

extension TranslationSettings: ModelSettings {
  package static let ids = ["translation"]
  package var id: String { Self.ids[0] }

  package var auxiliary: AuxiliaryWeights {
    get { shape.auxiliary }
    set { shape.auxiliary = newValue }
  }

  package var json: JSONValue {
    [
      "training": training?.json ?? .null, "heldOut": heldOut?.json ?? .null, "tokens": .string(unit.rawValue),
      "vocabularyLimit": JSONValue(vocabularyLimit), "context": JSONValue(model.context),
      "batchTokens": JSONValue(model.batchTokens), "labelSmoothing": JSONValue(model.smoothing),
      "bleuSentences": JSONValue(model.bleuSentences), "beam": JSONValue(model.beam.width),
      "lengthPenalty": JSONValue(model.beam.lengthPenalty), "shape": shape.json,
    ]
  }

  package init(id: String, _ fields: JSONFields) throws(InvalidInput) {
    try fields.requireOnly([
      "training", "heldOut", "tokens", "vocabularyLimit", "context", "batchTokens", "labelSmoothing", "bleuSentences",
      "beam", "lengthPenalty", "shape",
    ])
    training = try Self.files("training", fields)
    heldOut = try Self.files("heldOut", fields)
    let units = Vocabulary.Unit.allCases.map(\.rawValue)
    unit = Vocabulary.Unit(rawValue: try fields.word("tokens", among: units)) ?? .words
    vocabularyLimit = try fields.optionalInteger("vocabularyLimit")
    model.context = try fields.integer("context")
    model.batchTokens = try fields.integer("batchTokens")
    model.smoothing = try fields.number("labelSmoothing")
    model.bleuSentences = try fields.integer("bleuSentences")
    model.beam.width = try fields.integer("beam")
    model.beam.lengthPenalty = try fields.number("lengthPenalty")
    shape = try TransformerShape(fields.object("shape", of: "a shape"))
    try validate()
  }

  /// At least the end of a sentence, the unknown word and one other.
  static let vocabularyLimit = Limit.whole(3...1 << 30)

  package func validate() throws(InvalidInput) {
    try Self.vocabularyLimit.require("vocabularyLimit", vocabularyLimit)
    try model.validate()
    do throws(InvalidInput) { try shape.validate() } catch { throw error.inside("shape") }
  }

  package func validate(_ router: TrainingRouter) throws(InvalidInput) {
    try requireDeepRouter(router.tokenRouter, experts: shape.experts)
  }

  package func contrastCost(_ router: TrainingRouter, tokens: Int) throws(InvalidInput) -> ContrastCost {
    try ContrastCost(shape, stacks: 2, router: router, tokens: tokens)
  }

  private static func files(_ key: String, _ fields: JSONFields) throws(InvalidInput) -> Files? {
    let value = try fields.value(key, "two files or null")
    guard value != .null else { return nil }
    let members = try fields.object(key, of: "two files", only: ["source", "target", "fingerprints"])
    var files: Files
    do throws(InvalidInput) {
      files = Files(source: try members.fileName("source"), target: try members.fileName("target"))
    } catch {
      throw error.inside(key)
    }
    guard case .array(let items) = try members.value("fingerprints", "two fingerprints"), items.count == 2,
      case .string(let source) = items[0], case .string(let target) = items[1]
    else { throw InvalidInput("\(key).fingerprints", "expected two fingerprints") }
    files.fingerprints = [source, target]
    return files
  }

  package func model(router: TrainingRouter, seed: UInt64) throws -> any TrainableModel {
    let corpus = try corpus()
    return try model(router: router, seed: seed, corpus.vocabulary, corpus.training, corpus.heldOut)
  }

  package func folderFiles() throws(Refusal) -> [(name: String, bytes: [UInt8])] {
    [(Self.vocabularyFile, try corpus().vocabulary.fileText)]
  }

  private func model(
    router: TrainingRouter, seed: UInt64, _ vocabulary: Vocabulary, _ training: ParallelText?,
    _ heldOut: TranslationModel.HeldOut?
  ) throws(InvalidInput) -> TranslationModel {
    var (model, shape) = (model, shape)
    model.seed = seed
    shape.scale = router.scale
    return try TranslationModel(
      shape, vocabulary: vocabulary, training: training, heldOut: heldOut, router: router.tokenRouter,
      law: router.law.contrast, settings: model)
  }

  /// The model of a run with the parameters of its newest checkpoint, or of one that is named, to translate with: the texts that
  /// it was trained on are not needed.
  ///
  /// - Parameter path: the run's folder, or a checkpoint in it.
  package static func trained(_ path: String) throws(Refusal) -> TranslationModel {
    let (folder, file) = try RunFolder.checkpoint(at: path)
    let manifest = try RunFolder.manifest(of: folder)
    guard let settings = manifest.settings as? TranslationSettings else {
      throw Refusal(.wrongData, "\(folder): expected a run of translation, got one of \(manifest.settings.id)")
    }
    let name = "\(folder)/\(vocabularyFile)"
    let bytes = try FileReading.bytes(of: name)
    let model: TranslationModel
    do throws(InvalidInput) {
      let vocabulary = try Vocabulary(fileText: bytes, unit: settings.unit, name: name)
      model = try settings.model(router: manifest.router, seed: manifest.seed, vocabulary, nil, nil)
    } catch {
      throw Refusal(.wrongData, "\(error)")
    }
    try RunFolder.read(file, into: Checkpoint.tensors(of: model, AdamOptimiser(model.parameters)), manifest.plan)
    return model
  }
}
