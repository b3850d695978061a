import LayerTensors
import MixtureOfExperts
import RoutingCore

/// The decoder of a translation network, one token of every hypothesis at a time: keys and values of the tokens before are kept, and those
/// of the memory are computed once for each sentence.
///
/// It shares the network's parameters and none of its memory, so that several decoders run at once.
final class IncrementalDecoder<Scalar: TransformerScalar> {
  private let network: TranslationNetwork<Scalar>
  private let width, rows, length: Int
  /// The rows of the memory that each sentence looks at, from the first of them on.
  private let memory: [Range<Int>]
  private let layers: [Layer]
  private let stream, added, normed, projection, attended, scores: Tensor<Scalar>
  private let hidden, means, inverses: Tensor<Scalar>
  /// `[rows, vocabulary]`
  let logits: Tensor<Scalar>

  private final class Layer {
    let block: TransformerBlock<Scalar>
    let cross: BlockParameters<Scalar>.Cross
    /// Keys and values of the memory, `[memory, 2 width]`.
    let memory: Tensor<Scalar>
    /// Keys and values of every hypothesis, `[rows · length, 2 width]`; and room for them in another order.
    var cache, spare: Tensor<Scalar>
    let workspace: LayerWorkspace<Scalar>?

    init(_ block: TransformerBlock<Scalar>, memoryRows: Int, rows: Int, length: Int) {
      guard let cross = block.parameters.cross else { preconditionFailure("a decoder looks at a memory") }
      self.block = block
      self.cross = cross
      let width = block.shape.width
      memory = Tensor(rows: memoryRows, columns: 2 * width)
      cache = Tensor(rows: rows * length, columns: 2 * width)
      spare = Tensor(rows: rows * length, columns: 2 * width)
      workspace = block.experts.map { LayerWorkspace($0.layer, maximumTokens: rows) }
    }
  }

  /// - Parameters:
  ///   - memory: the rows of the encoder's output for each sentence, one after another.
  ///   - rows: the most hypotheses of all sentences.
  ///   - length: the most tokens of a translation.
  init(_ network: TranslationNetwork<Scalar>, memory: [Range<Int>], rows: Int, length: Int) {
    let first = memory.first?.lowerBound ?? 0
    let memoryRows = (memory.last?.upperBound ?? 0) - first
    self.network = network
    self.rows = rows
    self.length = length
    self.memory = memory.map { $0.lowerBound - first..<$0.upperBound - first }
    width = network.shape.width
    layers = network.decoder.blocks.map { Layer($0, memoryRows: memoryRows, rows: rows, length: length) }
    for layer in layers {
      layer.cross.keyValue.forward(
        network.encoder.norm.output.elements + first * width, rows: memoryRows, to: layer.memory.elements)
    }
    stream = Tensor(rows: rows, columns: width)
    added = Tensor(rows: rows, columns: width)
    normed = Tensor(rows: rows, columns: width)
    projection = Tensor(rows: rows, columns: 3 * width)
    attended = Tensor(rows: rows, columns: width)
    let longest = max(length, memory.reduce(0) { max($0, $1.count) })
    scores = Tensor(rows: rows * network.shape.heads, columns: longest)
    hidden = Tensor(rows: rows, columns: network.shape.hidden)
    means = Tensor(rows: rows, columns: 1)
    inverses = Tensor(rows: rows, columns: 1)
    logits = Tensor(rows: rows, columns: network.embedding.table.rows)
  }

  /// Leaves the logits of the next tokens in ``logits``.
  ///
  /// - Parameters:
  ///   - tokens: the last token of each hypothesis, those of one sentence after another.
  ///   - hypotheses: of each sentence.
  ///   - position: the number of tokens before, the same of all.
  func step(_ tokens: [Int32], hypotheses: [Int], position: Int) throws(Refusal) {
    precondition(tokens.count <= rows && position < length, "expected at most \(rows) hypotheses of length \(length)")
    let count = tokens.count
    network.embedding.embed(tokens, position: position, to: stream)
    for layer in layers {
      selfAttention(layer, count: count, position: position)
      memoryAttention(layer, hypotheses: hypotheses, count: count)
      try feedForward(layer, count: count)
    }
    normalise(network.decoder.norm.parameters, count: count)
    let table = network.embedding.table
    Scalar.multiply(
      MatrixView(normed.elements, stride: width), MatrixView(table.elements, stride: width, transposed: true),
      rows: count, columns: table.rows, depth: width, alpha: 1, beta: 0, into: logits.elements, stride: table.rows)
  }

  /// Makes hypothesis k the continuation of what was hypothesis `parents[k]`.
  func reorder(_ parents: [Int], tokens: Int) {
    guard parents != Array(0..<parents.count) else { return }
    let place = length * 2 * width
    for layer in layers {
      for (k, parent) in parents.enumerated() {
        (layer.spare.elements + k * place).update(
          from: layer.cache.elements + parent * place, count: tokens * 2 * width)
      }
      swap(&layer.cache, &layer.spare)
    }
  }

  // MARK: - Sublayers

  private func normalise(_ norm: NormParameters<Scalar>, count: Int) {
    Scalar.normalise(
      stream.elements, rows: count, width: width, gain: norm.gain.elements, bias: norm.bias.elements,
      to: normed.elements, means: means.elements, inverses: inverses.elements)
  }

  /// Adds what stands in `added`, with a bias, to the residual stream.
  private func add(bias: Tensor<Scalar>?, count: Int) {
    Scalar.addResidual(
      stream.elements, bias: bias?.elements, mask: nil, rows: count, columns: width, to: added.elements)
    stream.elements.update(from: added.elements, count: count * width)
  }

  private func selfAttention(_ layer: Layer, count: Int, position: Int) {
    let (block, parameters) = (layer.block, layer.block.parameters)
    normalise(parameters.norm1, count: count)
    parameters.projection.forward(normed.elements, rows: count, to: projection.elements)
    for k in 0..<count {
      let row = block.rows(of: projection, k)
      let cache = block.rows(of: layer.cache, k * length)
      cache.from(position).elements.update(from: row.elements + width, count: 2 * width)
      // One query that sees all keys there are.
      block.crossAttention.forward(
        row, cache, cache.column(width), queryCount: 1, keyCount: position + 1, weights: scores.elements,
        to: block.rows(of: attended, k))
    }
    parameters.output.product(attended.elements, rows: count, to: added.elements)
    add(bias: parameters.output.biases, count: count)
  }

  private func memoryAttention(_ layer: Layer, hypotheses: [Int], count: Int) {
    let (block, cross) = (layer.block, layer.cross)
    normalise(cross.norm, count: count)
    cross.query.forward(normed.elements, rows: count, to: added.elements)
    var first = 0
    for (s, queries) in hypotheses.enumerated() where queries > 0 {
      let keys = block.rows(of: layer.memory, memory[s].lowerBound)
      block.crossAttention.forward(
        block.rows(of: added, first), keys, keys.column(width), queryCount: queries, keyCount: memory[s].count,
        weights: scores.elements, to: block.rows(of: attended, first))
      first += queries
    }
    cross.output.product(attended.elements, rows: count, to: added.elements)
    add(bias: cross.output.biases, count: count)
  }

  private func feedForward(_ layer: Layer, count: Int) throws(Refusal) {
    normalise(layer.block.parameters.norm2, count: count)
    switch layer.block.parameters.feedForward {
    case .dense(let up, let down):
      up.product(normed.elements, rows: count, to: hidden.elements)
      Scalar.activate(
        hidden.elements, rows: count, columns: up.outputs, bias: up.biases.elements, activation: .relu, slope: nil)
      down.product(hidden.elements, rows: count, to: added.elements)
      add(bias: down.biases, count: count)
    case .experts(let parameters):
      guard let experts = layer.block.experts, let workspace = layer.workspace else { return }
      try experts.layer.forward(
        normed.elements, tokens: count, parameters: parameters, workspace: workspace, randomness: nil, threads: 1)
      added.elements.update(from: workspace.output.elements, count: count * width)
      add(bias: nil, count: count)
    }
  }
}

extension Embedding {
  /// The embeddings of tokens that stand at one position, without dropout.
  func embed(_ tokens: [Int32], position: Int, to x: Tensor<Scalar>) {
    let width = table.columns
    for (k, token) in tokens.enumerated() {
      let out = x.elements + k * width
      Scalar.setScaled(table.elements + Int(token) * width, factor: scale, scale: nil, to: out, count: width)
      Scalar.addScaled(positions.elements + position * width, factor: 1, scale: nil, to: out, count: width)
    }
  }
}
