import LayerTensors
import MixtureOfExperts
import RoutingCore

/// A decoder-only Transformer with tied embeddings and learned positions; every second feed-forward layer a Switch layer.
final class LanguageNetwork<Scalar: TransformerScalar> {
  let embedding: Embedding<Scalar>
  let stack: TransformerStack<Scalar>
  let head: OutputHead<Scalar>
  private let embedded: Tensor<Scalar>
  private let dropout: Dropout<Scalar>

  init(
    _ shape: TransformerShape, vocabulary: Int, context: Int, router: any TokenRouter, maximumSequences: Int
  ) {
    let limits = TransformerLimits(rows: maximumSequences * context, length: context)
    embedding = Embedding(vocabulary: vocabulary, width: shape.width, length: context, hasLearnedPositions: true)
    stack = TransformerStack(shape, isCausal: true, router: router, limits: limits, site: 1)
    head = OutputHead(vocabulary: vocabulary, width: shape.width, rows: limits.rows, smoothing: 0)
    embedded = Tensor(rows: limits.rows, columns: shape.width)
    dropout = Dropout(shape.dropout, rows: limits.rows, width: shape.width, site: 0)
  }

  /// Embeddings from N(0, 0.02²), the rest as PyTorch's linear maps.
  func initialise(seed: UInt64) {
    var random = Philox(seed: seed, stream: RandomStream.parameters)
    embedding.initialise(&random, deviation: 0.02)
    stack.initialise(&random)
  }

  var parameters: [ModelParameter<Scalar>] { embedding.parameters() + stack.parameters("") }
  var state: [(name: String, tensor: Tensor<Scalar>)] { stack.state("") }

  /// The mean cross-entropy of the targets and the auxiliary losses; in training, all gradients of their sum.
  ///
  /// - Parameters:
  ///   - tokens: one sequence after another, as planned.
  ///   - targets: what follows each token.
  ///   - randomness: nil at evaluation, when nothing is dropped and routing is without noise.
  ///   - isTraining: whether gradients are wanted.
  ///   - audit: what else is, in training.
  func run(
    _ tokens: UnsafePointer<Int32>, targets: UnsafePointer<Int32>, plan: SequencePlan, randomness: StepRandomness?,
    isTraining: Bool, threads: Int, audit: AuditPass<Scalar>? = nil
  ) throws(Refusal) -> (loss: Double, auxiliary: Double) {
    let pass = BlockPass<Scalar>(
      plan: plan, randomness: randomness, switchLayers: max(stack.switchLayers, 1), threads: threads,
      first: audit?.first.block ?? 0, audit: audit)
    if pass.first == 0 { embedding.forward(tokens, pass, dropout: dropout, to: embedded) }
    let auxiliary = try stack.forward(embedded.elements, pass)
    let factor = audit?.factor ?? 1 / Double(max(plan.rows, 1))
    let sum = head.run(
      stack.norm.output, targets: targets, embedding: embedding, factor: factor, isTraining: isTraining, pass)
    if isTraining {
      head.lossesToGo(plan, factor: factor)
      stack.backward(head.gradient.elements, x: embedded.elements, losses: head.losses, pass)
      guard audit == nil else { return (sum.loss * factor, auxiliary) }
      if let positions = embedding.positionGradient { positions.clear() }
      embedding.addBackward(stack.gradient, tokens, pass, dropout: dropout)
    }
    return (sum.loss * factor, auxiliary)
  }
}
