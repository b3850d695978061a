import FileFormats
import RoutingCore

/// What decides a ``SwitchLanguageModel`` besides router and seed: a text, how it is divided into tokens, and sizes.
package struct LanguageSettings: Sendable, Equatable {
  /// What a token is.
  package enum Tokens: String, Sendable, CaseIterable {
    case bytes
    case whitespace
  }

  /// The file.
  package var text: String
  /// Length and CRC-32 of the file, so that a run goes on with the text that it began with.
  package var fingerprint = ""
  package var tokens = Tokens.bytes
  /// The most different tokens that are accepted.
  package var vocabularyLimit = 32768
  package var context = 128
  package var batch = 16
  package var heldOutPercent = 10
  package var shape = TransformerShape()

  package init(text: String) { self.text = text }
}

extension LanguageSettings: ModelSettings {
  package static let ids = ["language-model"]
  package var id: String { Self.ids[0] }

  package var auxiliary: AuxiliaryWeights {
    get { shape.auxiliary }
    set { shape.auxiliary = newValue }
  }

  package var json: JSONValue {
    [
      "text": .string(text), "fingerprint": .string(fingerprint), "tokens": .string(tokens.rawValue),
      "vocabularyLimit": JSONValue(vocabularyLimit), "context": JSONValue(context), "batch": JSONValue(batch),
      "heldOutPercent": JSONValue(heldOutPercent), "shape": shape.json,
    ]
  }

  package init(id: String, _ fields: JSONFields) throws(InvalidInput) {
    try fields.requireOnly([
      "text", "fingerprint", "tokens", "vocabularyLimit", "context", "batch", "heldOutPercent", "shape",
    ])
    text = try fields.fileName("text")
    fingerprint = try fields.string("fingerprint")
    tokens = Tokens(rawValue: try fields.word("tokens", among: Tokens.allCases.map(\.rawValue))) ?? .bytes
    vocabularyLimit = try fields.integer("vocabularyLimit")
    context = try fields.integer("context")
    batch = try fields.integer("batch")
    heldOutPercent = try fields.integer("heldOutPercent")
    shape = try TransformerShape(fields.object("shape", of: "a shape"))
    try validate()
  }

  static let vocabularyLimit = Limit.whole(1...1 << 30)

  package func validate() throws(InvalidInput) {
    try Self.vocabularyLimit.require("vocabularyLimit", vocabularyLimit)
    try modelSettings.validate()
    do throws(InvalidInput) { try shape.validate() } catch { throw error.inside("shape") }
  }

  package func validate(_ router: TrainingRouter) throws(InvalidInput) {
    try requireDeepRouter(router.tokenRouter, experts: shape.experts)
  }

  package func contrastCost(_ router: TrainingRouter, tokens: Int) throws(InvalidInput) -> ContrastCost {
    try ContrastCost(shape, stacks: 1, router: router, tokens: tokens)
  }

  private var modelSettings: SwitchLanguageModel.Settings {
    var settings = SwitchLanguageModel.Settings()
    (settings.context, settings.batch, settings.heldOutPercent) = (context, batch, heldOutPercent)
    return settings
  }

  package func model(router: TrainingRouter, seed: UInt64) throws -> any TrainableModel {
    let bytes = try FileReading.bytes(of: text)
    guard fingerprint.isEmpty || fingerprint == RunFiles.fingerprint(of: bytes) else {
      throw Refusal(.wrongData, "\(text): expected the file that the run began with (\(fingerprint)), got another")
    }
    let (numbers, vocabulary): ([Int32], Int)
    do throws(InvalidInput) {
      (numbers, vocabulary) = try encoded(bytes)
    } catch {
      throw Refusal(.wrongData, "\(error)")
    }
    var settings = modelSettings
    settings.seed = seed
    var shape = shape
    shape.scale = router.scale
    do throws(InvalidInput) {
      return try SwitchLanguageModel(
        shape, text: numbers, vocabulary: vocabulary, router: router.tokenRouter, law: router.law.contrast,
        settings: settings)
    } catch {
      throw error.path == "text" ? Refusal(.wrongData, "\(text): \(error.expectation)") : error
    }
  }

  /// These settings, for the file as it is now.
  package func withFingerprint() throws(Refusal) -> LanguageSettings {
    var settings = self
    settings.fingerprint = RunFiles.fingerprint(of: try FileReading.bytes(of: text))
    return settings
  }

  /// The tokens of a text as numbers, and how many there may be.
  ///
  /// Words are numbered as in ``Vocabulary``; the end of a line is a token of its own.
  private func encoded(_ bytes: [UInt8]) throws(InvalidInput) -> ([Int32], Int) {
    guard tokens == .whitespace else {
      guard !bytes.isEmpty else { throw InvalidInput(text, "expected a text, the file is empty") }
      return (bytes.map { Int32($0) }, 256)
    }
    let lines = try TextLines(bytes, name: text)
    let vocabulary = Vocabulary(of: [lines])
    // No word is unknown.
    guard vocabulary.count - 1 <= vocabularyLimit else {
      throw InvalidInput(text, "expected at most \(vocabularyLimit) different words, got \(vocabulary.count - 1)")
    }
    let numbers = (0..<lines.count).flatMap { vocabulary.numbers(lines, line: $0) + [Vocabulary.end] }
    return (numbers, vocabulary.count)
  }
}

extension TransformerShape {
  /// All but ω, which is the router's affair.
  package var json: JSONValue {
    .object(
      [
        .init(key: "width", value: JSONValue(width)), .init(key: "heads", value: JSONValue(heads)),
        .init(key: "layers", value: JSONValue(layers)), .init(key: "hidden", value: JSONValue(hidden)),
        .init(key: "experts", value: JSONValue(experts)), .init(key: "expertsEvery", value: JSONValue(expertsEvery)),
        .init(key: "loadBalance", value: JSONValue(loadBalance)),
      ] + AuxiliaryWeights.members(zLoss: zLoss) + [
        .init(key: "capacityFactor", value: JSONValue(capacityFactor)),
        .init(key: "dropout", value: JSONValue(dropout)),
      ])
  }

  package init(_ fields: JSONFields) throws(InvalidInput) {
    try fields.requireOnly([
      "width", "heads", "layers", "hidden", "experts", "expertsEvery", "loadBalance", "zLoss",
      "capacityFactor", "dropout",
    ])
    width = try fields.integer("width")
    heads = try fields.integer("heads")
    layers = try fields.integer("layers")
    hidden = try fields.integer("hidden")
    experts = try fields.integer("experts")
    expertsEvery = try fields.integer("expertsEvery")
    loadBalance = try fields.number("loadBalance")
    zLoss = try fields.zLoss()
    capacityFactor = try fields.optionalNumber("capacityFactor")
    dropout = try fields.number("dropout")
  }
}
