import LayerTensors
import MixtureOfExperts
import RoutingCore

/// An encoder–decoder Switch Transformer on parallel text.
///
/// Batches hold as many sentence pairs as there is room for on the fuller side, side by side and without padding; which pairs share a
/// batch and in what order batches come is decided by the seed and the epoch.
package final class TranslationModel: TrainableModel {
  /// What decides a model besides its shape.
  package struct Settings: Sendable, Equatable {
    /// The most tokens of a sentence, the end symbol included.
    package var context = 128
    /// The most tokens of either side of a batch.
    package var batchTokens = 4096
    /// The share of a label that goes to all tokens evenly.
    package var smoothing = 0.1
    /// Of parameters, batches, routing and dropout.
    package var seed: UInt64 = 0
    /// The held-out sentences that are translated at an evaluation, for BLEU; 0: none.
    package var bleuSentences = 0
    /// How they are.
    package var beam = BeamOptions()

    package init() {}

    static let contextLimit = Limit.whole(2...1 << 14)
    static let batchTokensLimit = Limit.whole(2...1 << 20)
    static let smoothingLimit = Limit.number(0..<1)
    static let bleuSentencesLimit = Limit.whole(0...1 << 30)

    /// - Throws: `InvalidInput` for the first setting that is out of range.
    func validate() throws(InvalidInput) {
      try Self.contextLimit.require("context", context)
      try Self.batchTokensLimit.require("batchTokens", batchTokens)
      try Limit("at least the \(context) tokens of the context") { $0 >= context }.require("batchTokens", batchTokens)
      try Self.smoothingLimit.require("labelSmoothing", smoothing)
      try Self.bleuSentencesLimit.require("bleuSentences", bleuSentences)
      try beam.validate()
    }
  }

  /// Sentences that are not trained on.
  package struct HeldOut: Sendable {
    package var text: ParallelText
    /// The translation of each pair as text, what BLEU compares with.
    package var references: [String]

    /// Numbers two files; references are the target's lines without `@@`.
    package init(source: TextLines, target: TextLines, vocabulary: Vocabulary, context: Int) throws(InvalidInput) {
      text = try ParallelText(source: source, target: target, vocabulary: vocabulary, context: context)
      references = text.lines.map { vocabulary.unit == .words ? Vocabulary.joined(target[$0]) : target[$0] }
    }
  }

  package let parameters: [TrainableParameter]
  package let vocabulary: Vocabulary
  package let settings: Settings
  private let network: TranslationNetwork<Float>
  let shape: TransformerShape
  let router: any TokenRouter
  /// What is known of a token's gradient when its other experts have been tried.
  let law: ContrastLaw?
  let training: ParallelText?
  let heldOut: HeldOut?
  private let plan: BatchPlan?

  /// A model with fresh parameters.
  ///
  /// - Parameters:
  ///   - shape: of either half.
  ///   - training: pairs that the context has room for; nil for a model that only translates.
  ///   - router: one whose gradient needs one output of the layer and at most the token's loss.
  /// - Throws: `InvalidInput` if sizes or router do not fit.
  package convenience init(
    _ shape: TransformerShape, vocabulary: Vocabulary, training: ParallelText?, heldOut: HeldOut?,
    router: any TokenRouter, settings: Settings = Settings()
  ) throws(InvalidInput) {
    try self.init(
      shape, vocabulary: vocabulary, training: training, heldOut: heldOut, router: router, law: nil, settings: settings)
  }

  /// - Parameter law: of the router; nil if its experts are not tried one by one.
  init(
    _ shape: TransformerShape, vocabulary: Vocabulary, training: ParallelText?, heldOut: HeldOut?,
    router: any TokenRouter, law: ContrastLaw?, settings: Settings
  ) throws(InvalidInput) {
    try shape.validate()
    try settings.validate()
    try requireDeepRouter(router, experts: shape.experts)
    self.vocabulary = vocabulary
    self.settings = settings
    (self.shape, self.router, self.law) = (shape, router, law)
    self.training = training
    self.heldOut = heldOut
    network = TranslationNetwork(
      shape, vocabulary: vocabulary.count, rows: settings.batchTokens, length: settings.context,
      smoothing: settings.smoothing, router: router)
    network.initialise(seed: settings.seed)
    parameters = network.parameters.map { TrainableParameter(name: $0.name, value: $0.value, gradient: $0.gradient) }
    plan = training.map {
      BatchPlan(
        lengths: $0.pairs.map { ($0.source.count + 1, $0.target.count + 1) }, tokens: settings.batchTokens,
        seed: settings.seed)
    }
  }

  package var state: [(name: String, tensor: Tensor<Float>)] { network.state }

  package var routing: [RoutingFigures] { network.encoder.routing + network.decoder.routing }

  package func step(_ index: Int, threads: Int) throws(Refusal) -> StepResult {
    guard let training, let plan else { preconditionFailure("a model that only translates is not trained") }
    let sums = try network.run(
      TranslationBatch(plan.batch(step: index).map { training.pairs[$0] }),
      randomness: StepRandomness(seed: settings.seed, step: index), isTraining: true, threads: threads)
    return StepResult(loss: sums.loss / Double(sums.tokens), auxiliary: sums.auxiliary, count: sums.tokens)
  }

  /// `loss`, the mean −log p of held-out target tokens, and `bleu` if it was asked for; nothing if nothing is held out.
  package func evaluate(threads: Int) throws(Refusal) -> [String: Double] {
    guard let heldOut else { return [:] }
    var (sum, tokens) = (0.0, 0)
    for pairs in Self.consecutive(heldOut.text.pairs, tokens: settings.batchTokens) {
      let sums = try network.run(TranslationBatch(pairs), randomness: nil, isTraining: false, threads: threads)
      sum += sums.likelihood
      tokens += sums.tokens
    }
    var figures = ["loss": sum / Double(tokens)]
    if settings.bleuSentences > 0 {
      let count = min(settings.bleuSentences, heldOut.text.pairs.count)
      let outputs = try translate(heldOut.text.pairs[..<count].map(\.source), settings.beam, threads: threads)
      figures["bleu"] =
        BLEU(hypotheses: outputs.map { vocabulary.text($0.tokens) }, references: Array(heldOut.references[..<count]))
        .score
    }
    return figures
  }

  /// Translations, in order.
  ///
  /// - Parameter sources: token numbers without ends, shorter than the context.
  package func translate(
    _ sources: [[Int32]], _ options: BeamOptions, threads: Int
  ) throws(Refusal) -> [Translation] {
    try BeamSearch(network: network, options: options, rows: settings.batchTokens, context: settings.context)
      .translate(sources, threads: threads)
  }

  /// Pairs in order, in batches.
  private static func consecutive(_ pairs: [SentencePair], tokens: Int) -> [ArraySlice<SentencePair>] {
    var batches: [ArraySlice<SentencePair>] = []
    var (first, source, target) = (0, 0, 0)
    for (k, pair) in pairs.enumerated() {
      source += pair.source.count + 1
      target += pair.target.count + 1
      if max(source, target) > tokens {
        batches.append(pairs[first..<k])
        (first, source, target) = (k, pair.source.count + 1, pair.target.count + 1)
      }
    }
    batches.append(pairs[first...])
    return batches
  }
}
