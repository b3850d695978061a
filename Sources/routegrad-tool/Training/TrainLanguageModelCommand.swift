import ArgumentParser
import RouteGrad
import RouteGradTraining

struct TrainLanguageModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "language-model",
    abstract: "A decoder-only Switch Transformer on a text file.",
    discussion: """
      Every second feed-forward layer is a Switch layer. Routers that need the loss as a function of the layer's output \
      (exact, null-contrast, surrogate-experts) do not work at this depth and are refused.
      """)

  @Option(help: ArgumentHelp("The text.", valueName: "file"), completion: .file())
  var text: String

  @Option(help: "What a token is; words need UTF-8.")
  var tokens = LanguageSettings.Tokens.bytes

  @Option(parsing: .unconditional, help: ArgumentHelp("The most different words accepted.", valueName: "n"))
  var vocabulary = 32768

  @Option(parsing: .unconditional, help: ArgumentHelp("The tokens of a window.", valueName: "n"))
  var context = 128

  @Option(parsing: .unconditional, help: ArgumentHelp("The windows of a step.", valueName: "n"))
  var batch = 16

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The percentage of the text, at its end, that is held out, 0 to 99.", valueName: "n"))
  var heldOut = 10

  @OptionGroup var transformer: TransformerOptions
  @OptionGroup var training: TrainingOptions
  @OptionGroup var runOptions: RunOptions

  func run() throws {
    var settings = LanguageSettings(text: text)
    settings.tokens = tokens
    settings.vocabularyLimit = vocabulary
    settings.context = context
    settings.batch = batch
    settings.heldOutPercent = heldOut
    settings.shape = transformer.shape
    var plan = TrainingPlan(steps: 2000)
    (plan.learningRate, plan.warmUp, plan.beta2, plan.clip) = (1e-3, 100, 0.99, 1)
    (plan.evaluateEvery, plan.checkpointEvery, plan.auditTokens) = (100, 100, transformer.auditTokens)
    try TrainingSession.begin(settings.withFingerprint(), training, runOptions, plan: plan)
  }
}

extension LanguageSettings.Tokens: ExpressibleByArgument {}

/// The sizes of a Transformer.
struct TransformerOptions: ParsableArguments {
  @Option(parsing: .unconditional, help: ArgumentHelp("The width of the residual stream.", valueName: "n"))
  var width = 128

  @Option(parsing: .unconditional, help: ArgumentHelp("The number of attention heads.", valueName: "n"))
  var heads = 4

  @Option(parsing: .unconditional, help: ArgumentHelp("The number of blocks.", valueName: "n"))
  var layers = 4

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The hidden units of a feed-forward layer and of an expert.", valueName: "n"))
  var hidden = 512

  @Option(parsing: .unconditional, help: ArgumentHelp("The number of experts.", valueName: "n"))
  var experts = 8

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Every so many feed-forward layers one is a Switch layer; 0: none.", valueName: "n"))
  var expertsEvery = 2

  @OptionGroup var auxiliary: AuxiliaryOptions

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("An expert takes at most this many times an even share. (default: no limit)", valueName: "x"))
  var capacityFactor: Double?

  @Option(
    parsing: .unconditional, help: ArgumentHelp("The probability of dropping an output of a sublayer.", valueName: "p"))
  var dropout = 0.0

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "At an audit try every expert, one by one, for so many tokens of each Switch layer: exact, but many passes.",
      valueName: "n"))
  var auditTokens = 0

  var shape: TransformerShape {
    var shape = TransformerShape()
    (shape.width, shape.heads, shape.layers, shape.hidden) = (width, heads, layers, hidden)
    (shape.experts, shape.expertsEvery, shape.auxiliary) = (experts, expertsEvery, auxiliary.weights)
    (shape.capacityFactor, shape.dropout) = (capacityFactor, dropout)
    return shape
  }
}
