import LayerTensors
import MixtureOfExperts
import RoutingCore

/// An encoder–decoder Transformer with one table of embeddings for source, target and output, and sinusoidal positions; every
/// second feed-forward layer of either half is a Switch layer.
///
/// *Source*: arXiv 1706.03762 and 2101.03961, with LayerNorm before sublayers, as the experiments of arXiv 2310.00811 have it.
final class TranslationNetwork<Scalar: TransformerScalar> {
  let shape: TransformerShape
  let embedding: Embedding<Scalar>
  let encoder, decoder: TransformerStack<Scalar>
  let head: OutputHead<Scalar>
  private let embeddedSource, embeddedTarget, memoryGradient: Tensor<Scalar>
  private let sourceDropout, targetDropout: Dropout<Scalar>
  /// Of each row of the source, what the routing of its token has a part in.
  private let sourceLosses: Tensor<Double>

  /// - Parameters:
  ///   - shape: of either half; `layers` is the number of blocks of each.
  ///   - rows: the most tokens of a batch on either side.
  ///   - length: the most of a sequence, the end symbol included.
  ///   - smoothing: the share of a label that goes to all tokens evenly.
  init(
    _ shape: TransformerShape, vocabulary: Int, rows: Int, length: Int, smoothing: Double, router: any TokenRouter
  ) {
    self.shape = shape
    let length = min(length, rows)
    embedding = Embedding(
      vocabulary: vocabulary, width: shape.width, length: length, hasLearnedPositions: false,
      scale: Double(shape.width).squareRoot())
    // Both halves have the same limits, which the streams of random numbers are spaced by.
    encoder = TransformerStack(
      shape, isCausal: false, router: router, limits: TransformerLimits(rows: rows, length: length), site: 2)
    decoder = TransformerStack(
      shape, isCausal: true, router: router,
      limits: TransformerLimits(rows: rows, length: length, memoryRows: rows, memoryLength: length),
      layer: encoder.switchLayers, site: 2 + encoder.sites)
    head = OutputHead(vocabulary: vocabulary, width: shape.width, rows: rows, smoothing: smoothing)
    embeddedSource = Tensor(rows: rows, columns: shape.width)
    embeddedTarget = Tensor(rows: rows, columns: shape.width)
    memoryGradient = Tensor(rows: rows, columns: shape.width)
    sourceDropout = Dropout(shape.dropout, rows: rows, width: shape.width, site: 0)
    targetDropout = Dropout(shape.dropout, rows: rows, width: shape.width, site: 1)
    sourceLosses = Tensor(rows: rows, columns: 1)
  }

  /// Embeddings from N(0, 1/width), the rest as PyTorch's linear maps.
  func initialise(seed: UInt64) {
    var random = Philox(seed: seed, stream: RandomStream.parameters)
    embedding.initialise(&random, deviation: 1 / Double(shape.width).squareRoot())
    encoder.initialise(&random)
    decoder.initialise(&random)
  }

  var parameters: [ModelParameter<Scalar>] {
    embedding.parameters() + encoder.parameters("encoder.") + decoder.parameters("decoder.")
  }

  var state: [(name: String, tensor: Tensor<Scalar>)] { encoder.state("encoder.") + decoder.state("decoder.") }

  var switchLayers: Int { max(encoder.switchLayers + decoder.switchLayers, 1) }

  /// Leaves what the decoder looks at in `encoder.norm.output`.
  ///
  /// - Returns: the sum of the auxiliary losses.
  func encode(
    _ tokens: UnsafePointer<Int32>, plan: SequencePlan, randomness: StepRandomness?, threads: Int,
    audit: AuditPass<Scalar>? = nil
  ) throws(Refusal) -> Double {
    let pass = BlockPass<Scalar>(
      plan: plan, randomness: randomness, switchLayers: switchLayers, threads: threads, first: audit?.first.block ?? 0,
      audit: audit)
    if pass.first == 0 { embedding.forward(tokens, pass, dropout: sourceDropout, to: embeddedSource) }
    return try encoder.forward(embeddedSource.elements, pass)
  }

  /// The sums over a batch's target tokens of the smoothed cross-entropy and of −log p, and the auxiliary losses; in
  /// training, all gradients of the mean smoothed cross-entropy plus the auxiliary losses.
  ///
  /// - Parameters:
  ///   - batch: sentences of both sides, packed.
  ///   - randomness: nil at evaluation, when nothing is dropped and routing is without noise.
  ///   - isTraining: whether gradients are wanted.
  ///   - audit: what else is, in training.
  func run(
    _ batch: TranslationBatch, randomness: StepRandomness?, isTraining: Bool, threads: Int,
    audit: AuditPass<Scalar>? = nil
  ) throws(Refusal) -> TranslationSums {
    let plan = batch.decoderPlan
    let isDecoderAlone = audit?.first.stack == 1
    var sums = TranslationSums(tokens: plan.rows)
    if !isDecoderAlone {
      sums.auxiliary = try encode(
        batch.source, plan: batch.encoderPlan, randomness: randomness, threads: threads, audit: audit)
    }
    var pass = BlockPass<Scalar>(
      plan: plan, randomness: randomness, switchLayers: switchLayers, threads: threads,
      first: isDecoderAlone ? audit?.first.block ?? 0 : 0, audit: audit)
    pass.memory = UnsafePointer(encoder.norm.output.elements)
    pass.memoryGradient = memoryGradient.elements
    if pass.first == 0 { embedding.forward(batch.targetInput, pass, dropout: targetDropout, to: embeddedTarget) }
    sums.auxiliary += try decoder.forward(embeddedTarget.elements, pass)
    let factor = audit?.factor ?? 1 / Double(max(plan.rows, 1))
    (sums.loss, sums.likelihood) = head.run(
      decoder.norm.output, targets: batch.target, embedding: embedding, factor: factor, isTraining: isTraining, pass)
    if isTraining { backward(batch, pass, factor: factor) }
    return sums
  }

  private func backward(_ batch: TranslationBatch, _ pass: BlockPass<Scalar>, factor: Double) {
    // All that a sentence's target tokens lose is what the routing of each of its source tokens has a part in.
    for s in 0..<batch.encoderPlan.count {
      let loss = batch.decoderPlan.range(s).reduce(0) { $0 + factor * head.losses[$1] }
      for t in batch.encoderPlan.range(s) { sourceLosses.elements[t] = loss }
    }
    head.lossesToGo(pass.plan, factor: factor)
    memoryGradient.clear()
    decoder.backward(head.gradient.elements, x: embeddedTarget.elements, losses: head.losses, pass)
    if pass.audit == nil { embedding.addBackward(decoder.gradient, batch.targetInput, pass, dropout: targetDropout) }
    guard pass.audit?.first.stack != 1 else { return }
    let source = BlockPass<Scalar>(
      plan: batch.encoderPlan, randomness: pass.randomness, switchLayers: switchLayers, threads: pass.threads,
      first: pass.audit?.first.block ?? 0, audit: pass.audit)
    encoder.backward(memoryGradient.elements, x: embeddedSource.elements, losses: sourceLosses.elements, source)
    guard pass.audit == nil else { return }
    embedding.addBackward(encoder.gradient, batch.source, source, dropout: sourceDropout)
  }
}

/// What a batch gives: sums over its target tokens.
struct TranslationSums {
  /// The smoothed cross-entropy that is minimised, and −log p.
  var loss = 0.0, likelihood = 0.0
  var auxiliary = 0.0
  var tokens: Int

  init(tokens: Int) { self.tokens = tokens }
}

/// Sentences of both sides, one after another, as a network takes them.
struct TranslationBatch {
  /// Each source sentence with its end symbol.
  let source: [Int32]
  /// Each target sentence after an end symbol, which is what begins it; and with one at its end.
  let targetInput, target: [Int32]
  let encoderPlan, decoderPlan: SequencePlan

  /// - Parameter pairs: token numbers without end symbols.
  init(_ pairs: some Sequence<SentencePair>) {
    var (source, input, target): ([Int32], [Int32], [Int32]) = ([], [], [])
    var (sourceLengths, targetLengths, memory): ([Int], [Int], [Range<Int>]) = ([], [], [])
    for pair in pairs {
      memory.append(source.count..<source.count + pair.source.count + 1)
      source += pair.source
      source.append(Vocabulary.end)
      input.append(Vocabulary.end)
      input += pair.target
      target += pair.target
      target.append(Vocabulary.end)
      sourceLengths.append(pair.source.count + 1)
      targetLengths.append(pair.target.count + 1)
    }
    self.source = source
    targetInput = input
    self.target = target
    encoderPlan = SequencePlan(lengths: sourceLengths)
    decoderPlan = SequencePlan(lengths: targetLengths, memory: memory)
  }
}
