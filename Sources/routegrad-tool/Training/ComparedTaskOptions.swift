import ArgumentParser
import RouteGrad
import RouteGradTraining
import RoutingCore

/// What `compare` trains routers on; what is not said is as the task has it.
struct ComparedTaskOptions: ParsableArguments {
  /// What is learned.
  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case regression = "mixture-regression"
    case classification = "mixture-classification"
    case languageModel = "language-model"
    case translation

    var isDeep: Bool { self == .languageModel || self == .translation }
  }

  /// What a token is, of either text.
  enum Tokens: String, CaseIterable, ExpressibleByArgument {
    case bytes
    case whitespace
    case words
  }

  @Option(help: "What is learned.")
  var task = Kind.regression

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The share of the target's variance that a teacher of all cells has. (default: 0.75)", valueName: "s"))
  var shared: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The tokens of a step; of a language model its windows. (default: 256; 8 windows)", valueName: "n"))
  var batch: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("The number of experts.", valueName: "n"))
  var experts = 8

  @OptionGroup var auxiliary: AuxiliaryOptions

  @Option(help: ArgumentHelp("The text of a language model.", valueName: "file"), completion: .file())
  var text: String?

  @Option(
    help: ArgumentHelp(
      "The sentences to translate from. (default: the corpus that ships with the program)", valueName: "file"),
    completion: .file())
  var source: String?

  @Option(help: ArgumentHelp("Their translations, line by line.", valueName: "file"), completion: .file())
  var target: String?

  @Option(help: ArgumentHelp("Held-out sentences; a comparison needs some.", valueName: "file"), completion: .file())
  var validSource: String?

  @Option(help: ArgumentHelp("Their translations.", valueName: "file"), completion: .file())
  var validTarget: String?

  @Option(help: "What a token is: bytes, whitespace (language model), words (translation).")
  var tokens: Tokens?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The most different words. (default: 32768; of a translation all)", valueName: "n"))
  var vocabulary: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The tokens of a window, or the most of a sentence. (default: 64)", valueName: "n"))
  var context: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The most tokens of either side of a batch of a translation. (default: 512)", valueName: "n"))
  var batchTokens: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The percentage of a text, at its end, that is held out. (default: 10)", valueName: "n"))
  var heldOut: Int?

  @Option(
    parsing: .unconditional, help: ArgumentHelp("The width of the residual stream. (default: 64)", valueName: "n"))
  var width: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("The number of attention heads. (default: 4)", valueName: "n"))
  var heads: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("The number of blocks. (default: 4)", valueName: "n"))
  var layers: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The hidden units of a feed-forward layer and of an expert. (default: 128)", valueName: "n"))
  var hidden: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Every so many feed-forward layers one is a Switch layer. (default: 2)", valueName: "n"))
  var expertsEvery: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("An expert takes at most this many times an even share. (default: no limit)", valueName: "x"))
  var capacityFactor: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The probability of dropping an output of a sublayer. (default: 0)", valueName: "p"))
  var dropout: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "At an audit of a network try every expert, one by one, for so many tokens of each layer. (default: 0)",
      valueName: "n"))
  var auditTokens: Int?

  func validate() throws {
    // What goes with one task only, by the options that were given.
    let texts: [(String, Bool)] = [
      ("--tokens", tokens != nil), ("--vocabulary", vocabulary != nil), ("--context", context != nil),
      ("--width", width != nil), ("--heads", heads != nil), ("--layers", layers != nil), ("--hidden", hidden != nil),
      ("--experts-every", expertsEvery != nil), ("--capacity-factor", capacityFactor != nil),
      ("--dropout", dropout != nil), ("--audit-tokens", auditTokens != nil),
    ]
    let pairs: [(String, Bool)] = [
      ("--source", source != nil), ("--target", target != nil), ("--valid-source", validSource != nil),
      ("--valid-target", validTarget != nil), ("--batch-tokens", batchTokens != nil),
    ]
    try Self.refuse([("--shared", shared != nil)], unless: task == .regression, "mixture-regression")
    try Self.refuse(
      [("--text", text != nil), ("--held-out", heldOut != nil)], unless: task == .languageModel, "language-model")
    try Self.refuse(pairs, unless: task == .translation, "translation")
    try Self.refuse(texts, unless: task.isDeep, "language-model' or '--task translation")
    try Self.refuse(
      [("--batch", batch != nil)], unless: task != .translation,
      "language-model' or a mixture's; here it is '--batch-tokens")
    switch (task, tokens) {
    case (.languageModel, .words?), (.translation, .whitespace?):
      throw ValidationError(
        "'--tokens': expected bytes, whitespace (a language model) or words (a translation), got "
          + "\(tokens?.rawValue ?? "") with '--task \(task.rawValue)'")
    default: break
    }
    if task == .translation { try TrainTranslationCommand.validate(source, target, validSource, validTarget) }
    if source != nil, validSource == nil {
      throw ValidationError("'--valid-source', '--valid-target': expected held-out sentences, which are compared")
    }
    try Limit.whole(1...99).validate("--held-out", heldOut)
    try TrainingPlan.auditTokensLimit.validate("--audit-tokens", auditTokens)
  }

  private static func refuse(_ options: [(name: String, isGiven: Bool)], unless holds: Bool, _ task: String) throws {
    if !holds, let option = options.first(where: { $0.isGiven }) {
      throw ValidationError("'\(option.name)' goes with '--task \(task)'")
    }
  }

  /// The task as it was asked for, with the files as they are now.
  func compared() throws -> ComparedTask {
    var compared: ComparedTask
    do throws(InvalidInput) {
      compared = try unfiled()
      try compared.settings.validate()
    } catch {
      throw Refusal(option: error)
    }
    switch compared.settings {
    case let settings as LanguageSettings: compared.settings = try settings.withFingerprint()
    case let settings as TranslationSettings: compared.settings = try settings.withFingerprints()
    default: break
    }
    compared.plan.auditTokens = auditTokens ?? 0
    return compared
  }

  private func unfiled() throws(InvalidInput) -> ComparedTask {
    switch task {
    case .regression, .classification:
      var settings = MixtureSettings()
      settings.kind = task == .regression ? .regression : .classification
      settings.shared = task == .regression ? shared ?? 0.75 : 0
      (settings.batch, settings.experts) = (batch ?? settings.batch, experts)
      settings.auxiliary = auxiliary.weights
      return ComparedTask(settings)
    case .languageModel:
      guard let text else { throw InvalidInput("text", "expected a file with the text to learn") }
      var settings = LanguageSettings.compared(text: text)
      settings.tokens = tokens == .whitespace ? .whitespace : .bytes
      settings.vocabularyLimit = vocabulary ?? settings.vocabularyLimit
      (settings.context, settings.batch) = (context ?? settings.context, batch ?? settings.batch)
      settings.heldOutPercent = heldOut ?? settings.heldOutPercent
      settings.shape = shape(settings.shape)
      return ComparedTask(settings)
    case .translation:
      var settings = TranslationSettings.compared
      if let source, let target { settings.training = .init(source: source, target: target) }
      if let validSource, let validTarget { settings.heldOut = .init(source: validSource, target: validTarget) }
      settings.unit = tokens == .bytes ? .bytes : .words
      settings.vocabularyLimit = vocabulary
      settings.model.context = context ?? settings.model.context
      settings.model.batchTokens = batchTokens ?? settings.model.batchTokens
      settings.shape = shape(settings.shape)
      return ComparedTask(settings)
    }
  }

  private func shape(_ standard: TransformerShape) -> TransformerShape {
    var shape = standard
    (shape.width, shape.heads) = (width ?? shape.width, heads ?? shape.heads)
    (shape.layers, shape.hidden) = (layers ?? shape.layers, hidden ?? shape.hidden)
    (shape.experts, shape.expertsEvery) = (experts, expertsEvery ?? shape.expertsEvery)
    shape.auxiliary = auxiliary.weights
    (shape.capacityFactor, shape.dropout) = (capacityFactor, dropout ?? shape.dropout)
    return shape
  }
}
