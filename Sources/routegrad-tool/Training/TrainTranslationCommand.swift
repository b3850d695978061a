import ArgumentParser
import RouteGrad
import RouteGradTraining

struct TrainTranslationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "translation",
    abstract: "An encoder-decoder Switch Transformer on parallel files.",
    discussion: """
      Files have a sentence a line and words between spaces; '@@' at a word's end joins it to the next, as subword-nmt \
      and fairseq write it. Without files, a small corpus that ships with the program is used. Pairs with an empty \
      side, or one that is longer than the context, are left out and counted.

      Every second feed-forward layer of either half is a Switch layer; routers as in 'train language-model'.
      """)

  @Option(help: ArgumentHelp("The sentences to translate from.", valueName: "file"), completion: .file())
  var source: String?

  @Option(help: ArgumentHelp("Their translations, line by line.", valueName: "file"), completion: .file())
  var target: String?

  @Option(help: ArgumentHelp("Held-out sentences.", valueName: "file"), completion: .file())
  var validSource: String?

  @Option(help: ArgumentHelp("Their translations.", valueName: "file"), completion: .file())
  var validTarget: String?

  @Option(help: "What a token is.")
  var tokens = Vocabulary.Unit.words

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The most words of both languages together; rarer ones are unknown. (default: all)", valueName: "n"))
  var vocabulary: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The most tokens of a sentence, its end included.", valueName: "n"))
  var context = 128

  @Option(parsing: .unconditional, help: ArgumentHelp("The most tokens of either side of a batch.", valueName: "n"))
  var batchTokens = 2048

  @Option(
    parsing: .unconditional, help: ArgumentHelp("The share of a label that goes to all tokens evenly.", valueName: "s"))
  var labelSmoothing = 0.1

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Translate so many held-out sentences at each evaluation, for BLEU.", valueName: "n"))
  var bleuSentences = 0

  @OptionGroup var beamOptions: BeamArguments
  @OptionGroup var transformer: TransformerOptions
  @OptionGroup var training: TrainingOptions
  @OptionGroup var runOptions: RunOptions

  func validate() throws { try Self.validate(source, target, validSource, validTarget) }

  /// What goes together of a translation's files.
  static func validate(_ source: String?, _ target: String?, _ validSource: String?, _ validTarget: String?) throws {
    guard (source == nil) == (target == nil), (validSource == nil) == (validTarget == nil) else {
      throw ValidationError("'--source' and '--target', '--valid-source' and '--valid-target' go together")
    }
    guard source != nil || validSource == nil else {
      throw ValidationError("'--valid-source' without '--source': the made corpus has held-out sentences of its own")
    }
  }

  func run() throws {
    var settings = TranslationSettings()
    if let source, let target { settings.training = .init(source: source, target: target) }
    if let validSource, let validTarget { settings.heldOut = .init(source: validSource, target: validTarget) }
    settings.unit = tokens
    settings.vocabularyLimit = vocabulary
    settings.model.context = context
    settings.model.batchTokens = batchTokens
    settings.model.smoothing = labelSmoothing
    settings.model.bleuSentences = bleuSentences
    settings.model.beam = beamOptions.options
    settings.shape = transformer.shape
    do throws(InvalidInput) {
      try settings.validate()
    } catch {
      throw Refusal(option: error)
    }
    settings = try settings.withFingerprints()
    var plan = TrainingPlan(steps: 3000)
    (plan.learningRate, plan.warmUp, plan.schedule, plan.clip) = (3e-3, 400, .inverseSquareRoot, 1)
    (plan.evaluateEvery, plan.checkpointEvery, plan.auditTokens) = (250, 250, transformer.auditTokens)
    if source == nil {
      // Enough for the made corpus.
      (plan.steps, plan.warmUp, plan.evaluateEvery, plan.checkpointEvery) = (200, 50, 50, 50)
    }
    try TrainingSession.begin(settings, training, runOptions, plan: plan, note: { try Self.counts(settings.corpus()) })
  }

  /// What became of the files' lines.
  private static func counts(_ corpus: TranslationSettings.Corpus) -> String {
    func line(_ name: String, _ counts: ParallelText.Counts) -> String {
      "\(name): \(counts.lines - counts.empty - counts.long) of \(counts.lines) pairs (left out: \(counts.empty) empty, "
        + "\(counts.long) too long), \(counts.sourceTokens) + \(counts.targetTokens) tokens, \(counts.unknown) unknown"
    }
    let heldOut = corpus.heldOut.map { "; " + line("held out", $0.text.counts) } ?? ""
    return "routegrad: vocabulary \(corpus.vocabulary.count); " + line("training", corpus.training.counts) + heldOut
  }
}

/// How translations are looked for.
struct BeamArguments: ParsableArguments {
  @Option(parsing: .unconditional, help: ArgumentHelp("The hypotheses that are kept; 1: greedy.", valueName: "n"))
  var beam = 4

  @Option(
    parsing: .unconditional, help: ArgumentHelp("Hypotheses are compared by log p/length^alpha.", valueName: "alpha"))
  var lengthPenalty = 0.6

  func validate() throws {
    do throws(InvalidInput) {
      try options.validate()
    } catch {
      throw ValidationError(Refusal(option: error).description)
    }
  }

  var options: BeamOptions {
    var options = BeamOptions()
    (options.width, options.lengthPenalty) = (beam, lengthPenalty)
    return options
  }
}

extension Vocabulary.Unit: ExpressibleByArgument {}
