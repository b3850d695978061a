import RoutingCore

/// The sizes of a stack of Transformer blocks.
package struct TransformerShape: Sendable, Equatable {
  /// d, the width of the residual stream.
  package var width = 128
  /// The number of attention heads, each of width d/heads.
  package var heads = 4
  /// The number of blocks.
  package var layers = 4
  /// The hidden units of a dense feed-forward layer, and of each expert.
  package var hidden = 512
  /// N.
  package var experts = 8
  /// Every so many feed-forward layers one is a Switch layer, the last of them first: 2 makes blocks 1, 3, … so; 0 none.
  package var expertsEvery = 2
  /// Whether the Switch layers have a learned scale ω.
  package var scale = false
  /// α of the load-balancing loss.
  package var loadBalance = 0.01
  /// β of the z-loss.
  package var zLoss = 0.0
  /// An expert takes at most this many times an even share of the tokens; nil: no limit.
  package var capacityFactor: Double?
  /// The probability of dropping an output of a sublayer, or a number of an embedding, in training.
  package var dropout = 0.0

  package init() {}

  package var auxiliary: AuxiliaryWeights {
    get { AuxiliaryWeights(loadBalance: loadBalance, zLoss: zLoss) }
    set { (loadBalance, zLoss) = (newValue.loadBalance, newValue.zLoss) }
  }

  /// Whether the feed-forward layer of block `k` (from 0) is a Switch layer.
  func hasExperts(_ k: Int) -> Bool { expertsEvery > 0 && (k + 1).isMultiple(of: expertsEvery) }

  static let sizeLimit = Limit.whole(1...1 << 16)
  static let countLimit = Limit.whole(1...1 << 10)
  static let expertsEveryLimit = Limit.whole(0...1 << 10)
  static let dropoutLimit = Limit.number(0..<1)
  /// The weights of a model; more is a slip of the keyboard, and would end in an allocation that fails.
  static let weightLimit = Limit<Int>("sizes that together take at most \(1 << 31) weights") { $0 <= 1 << 31 }

  /// - Throws: `InvalidInput` for the first size that is out of range.
  package func validate() throws(InvalidInput) {
    try Self.sizeLimit.require("width", width)
    try Self.sizeLimit.require("heads", heads)
    try Self.countLimit.require("layers", layers)
    try Self.sizeLimit.require("hidden", hidden)
    try Limit("a width that the \(heads) heads divide") { $0.isMultiple(of: heads) }.require("width", width)
    try Self.expertsEveryLimit.require("expertsEvery", expertsEvery)
    try Limit.whole((expertsEvery > 0 ? 1 : 0)...1 << 10).require("experts", experts)
    try Self.weightLimit.require("layers", layers * width * (4 * width + 2 * hidden * (expertsEvery > 0 ? experts : 1)))
    try Self.dropoutLimit.require("dropout", dropout)
    try auxiliary.validate()
    try Limit.positive.require("capacityFactor", capacityFactor)
  }
}

/// Where the random numbers of a training step come from: they are a function of seed and step alone.
package struct StepRandomness: Sendable, Equatable {
  package var seed: UInt64
  package var step: Int

  package init(seed: UInt64, step: Int) {
    self.seed = seed
    self.step = step
  }
}

/// The streams of a run's seed; ``MixtureTask`` uses others.
enum RandomStream {
  /// Initialisation.
  static let parameters: UInt64 = 1 << 63 | 1
  /// What sentences share a batch.
  static let batches: UInt64 = 1 << 63 | 2
  /// The order of an epoch, one stream each.
  static let order: UInt64 = 1 << 63 | 1 << 62
  /// Routing: a stream for each token of each layer of each step, below 2⁶².
  static func routing(step: Int, layer: Int, layers: Int, tokens: Int) -> UInt64 {
    UInt64((step * layers + layer) * tokens)
  }
  /// Dropout: a stream for each group of rows at each site of each step.
  static func dropout(step: Int, site: Int, group: Int) -> UInt64 {
    1 << 62 | UInt64(step) << 28 | UInt64(site) << 18 | UInt64(group)
  }
}
