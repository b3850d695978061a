import LayerTensors
import MixtureOfExperts

/// A pre-norm block: `x += Attention(LN x)`, with a memory `x += CrossAttention(LN x)`, `x += FeedForward(LN x)`, dropout on what
/// each sublayer adds.
///
/// Forward and backward use memory made once. A group of sequences goes through all of the block but the experts in one task, so
/// that what passes between matrix products stays in the nearest caches.
final class TransformerBlock<Scalar: TransformerScalar> {
  let shape: TransformerShape
  let parameters, gradients: BlockParameters<Scalar>
  let room: BlockRoom<Scalar>
  let attention, crossAttention: Attention<Scalar>

  /// LayerNorms' outputs, projections, attention weights, attention outputs; the residual stream after each sublayer.
  let norm1, norm2: Norm<Scalar>
  let crossNorm: Norm<Scalar>?
  let projection, weights, attended, middle, output: Tensor<Scalar>
  let query, keyValue, crossWeights, crossAttended, crossMiddle: Tensor<Scalar>?
  let hidden: Tensor<Scalar>?
  let experts: (layer: MixtureLayer<Scalar>, workspace: LayerWorkspace<Scalar>, index: Int)?
  let dropout, crossDropout, feedForwardDropout: Dropout<Scalar>

  /// - Parameters:
  ///   - index: of the block in its stack.
  ///   - layer: of its Switch layer among all of the model, and how many there are.
  ///   - site: of its first dropout among all of the model.
  init(
    _ shape: TransformerShape, index: Int, isCausal: Bool, isCross: Bool, router: any TokenRouter, layer: Int,
    site: Int, room: BlockRoom<Scalar>
  ) {
    let (d, rows) = (shape.width, room.limits.rows)
    self.shape = shape
    self.room = room
    let hasExperts = shape.hasExperts(index)
    parameters = BlockParameters(shape, hasExperts: hasExperts, isCross: isCross, isGradient: false)
    gradients = BlockParameters(shape, hasExperts: hasExperts, isCross: isCross, isGradient: true)
    attention = Attention(heads: shape.heads, headWidth: d / shape.heads, isCausal: isCausal)
    crossAttention = Attention(heads: shape.heads, headWidth: d / shape.heads, isCausal: false)
    norm1 = Norm(parameters.norm1, rows: rows)
    norm2 = Norm(parameters.norm2, rows: rows)
    projection = Tensor(rows: rows, columns: 3 * d)
    weights = Tensor(rows: rows * shape.heads, columns: room.limits.length)
    attended = Tensor(rows: rows, columns: d)
    middle = Tensor(rows: rows, columns: d)
    output = Tensor(rows: rows, columns: d)
    crossNorm = parameters.cross.map { Norm($0.norm, rows: rows) }
    query = isCross ? Tensor(rows: rows, columns: d) : nil
    keyValue = isCross ? Tensor(rows: room.limits.memoryRows, columns: 2 * d) : nil
    crossWeights = isCross ? Tensor(rows: rows * shape.heads, columns: room.limits.memoryLength) : nil
    crossAttended = isCross ? Tensor(rows: rows, columns: d) : nil
    crossMiddle = isCross ? Tensor(rows: rows, columns: d) : nil
    switch parameters.feedForward {
    case .dense:
      hidden = Tensor(rows: rows, columns: shape.hidden)
      experts = nil
    case .experts(let parameters):
      hidden = nil
      let mixture = MixtureLayer<Scalar>(
        parameters.shape, router: router,
        options: LayerOptions(capacityFactor: shape.capacityFactor, loadBalance: shape.loadBalance, zLoss: shape.zLoss))
      experts = (mixture, LayerWorkspace(mixture, maximumTokens: rows), layer)
    }
    dropout = Dropout(shape.dropout, rows: rows, width: d, site: site)
    crossDropout = Dropout(isCross ? shape.dropout : 0, rows: isCross ? rows : 0, width: d, site: site + 1)
    feedForwardDropout = Dropout(shape.dropout, rows: rows, width: d, site: site + 2)
  }

  /// The dropouts of a block.
  static var sites: Int { 3 }

  /// The residual stream before the feed-forward layer.
  var beforeFeedForward: Tensor<Scalar> { crossMiddle ?? middle }
}

/// What a block is run on.
struct BlockPass<Scalar: TransformerScalar> {
  let plan: SequencePlan
  /// The encoder's output and the gradient of it, which the backward pass adds to.
  var memory: UnsafePointer<Scalar>?
  var memoryGradient: UnsafeMutablePointer<Scalar>?
  /// Nil at evaluation.
  var randomness: StepRandomness?
  /// The number of Switch layers of the model.
  var switchLayers = 1
  var threads = 1
  /// Blocks before this one are as an earlier pass over the same rows has left them.
  var first = 0
  /// Nil in training.
  var audit: AuditPass<Scalar>?
}

/// What an audit wants of a pass besides: no gradients of weights, but a look at the Switch layers.
struct AuditPass<Scalar: TransformerScalar> {
  /// What each target token's loss is multiplied by.
  var factor: Double
  /// Where the pass begins: stacks and blocks before are as an earlier pass over the same batch has left them.
  var first = (stack: 0, block: 0)
  /// Told of every Switch layer on the way back, before its memory is used for another.
  var watch: (RouterVisit<Scalar>) -> Void
}

/// A Switch layer whose backward pass is just done.
struct RouterVisit<Scalar: TransformerScalar> {
  /// Which one of the model's.
  let index: Int
  let layer: MixtureLayer<Scalar>
  let workspace: LayerWorkspace<Scalar>
  let parameters: LayerParameters<Scalar>
  /// What the experts read, `[tokens, width]`.
  let input: UnsafePointer<Scalar>
  /// `∂L/∂y`, `[tokens, width]`.
  let upstream: UnsafePointer<Scalar>
  /// Of each token what depends on its routing.
  let losses: UnsafePointer<Double>?
}

/// The most that a stack is given at a time.
struct TransformerLimits: Sendable, Equatable {
  /// The rows of a batch, and of one sequence.
  var rows: Int
  var length: Int
  /// Likewise of the memory.
  var memoryRows = 0
  var memoryLength = 0

  var groups: Int { SequencePlan.mostGroups(rows: rows, memoryRows: memoryRows) }
}

/// Memory that the blocks of a stack use one after another on the way back.
final class BlockRoom<Scalar: TransformerScalar> {
  let limits: TransformerLimits
  /// Gradients of a sublayer's output, of a LayerNorm's output, of what attention puts out, of projections, of hidden units.
  let added, crossAdded, feedForwardAdded, normed, attended, projection: Tensor<Scalar>
  let query, keyValue, hidden: Tensor<Scalar>
  /// For each group, `[block, length]`.
  let scores: Tensor<Scalar>
  let sums1, crossSums, sums2: NormGradient<Scalar>

  init(_ shape: TransformerShape, _ limits: TransformerLimits) {
    self.limits = limits
    let (d, rows) = (shape.width, limits.rows)
    let crossRows = limits.memoryRows > 0 ? rows : 0
    added = Tensor(rows: rows, columns: d)
    crossAdded = Tensor(rows: crossRows, columns: d)
    feedForwardAdded = Tensor(rows: rows, columns: d)
    normed = Tensor(rows: rows, columns: d)
    attended = Tensor(rows: rows, columns: d)
    projection = Tensor(rows: rows, columns: 3 * d)
    query = Tensor(rows: crossRows, columns: d)
    keyValue = Tensor(rows: limits.memoryRows, columns: 2 * d)
    hidden = Tensor(rows: rows, columns: shape.hidden)
    scores = Tensor(
      rows: limits.groups * Attention<Scalar>.block, columns: max(limits.length, limits.memoryLength))
    sums1 = NormGradient(width: d, groups: limits.groups)
    crossSums = NormGradient(width: d, groups: crossRows > 0 ? limits.groups : 0)
    sums2 = NormGradient(width: d, groups: limits.groups)
  }

  func scores(_ group: Int) -> UnsafeMutablePointer<Scalar> {
    scores.elements + group * Attention<Scalar>.block * scores.columns
  }
}
