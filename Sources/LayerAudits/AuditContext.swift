import LayerTensors
import RoutingCore
import RoutingExpectations

/// A layer with what every part of an audit needs of it, found once: every token's problem, loss and experts' outputs.
struct AuditContext: Sendable {
  let layer: DumpedLayer
  let mask: Mask
  let threads: Int
  /// The numbers that a tile may take.
  let room: Int
  /// f_i(x_t), for each token `[experts, outputs]`.
  let outputs: [Matrix]
  /// The shared experts, if there are any.
  let shared: SharedExperts?
  /// The tokens' losses.
  let losses: [TokenLoss]
  /// The tokens' problems: logits, `ω ⊙ f`, loss, mask.
  let problems: [RoutedProblem]
  /// `‖x_t‖²`.
  let inputSquares: [Double]

  var tokens: Int { layer.tokens }
  var shape: LayerShape { layer.shape }

  /// Evaluates a layer.
  ///
  /// - Throws: `InvalidInput` for the first token whose logits or outputs are not finite.
  init(_ layer: DumpedLayer, _ options: LayerAudit.Options) throws(InvalidInput) {
    let threads = options.threads
    self.layer = layer
    mask = options.mask
    self.threads = threads
    room = options.room
    let d = layer.shape.inputs
    outputs = Self.outputs(of: layer, threads: threads)
    let logits = Self.logits(of: layer)
    shared = SharedExperts(layer, threads: threads)
    let all = LayerLosses(layer, shared: shared?.output)
    losses = (0..<layer.tokens).map { TokenLoss(all, token: $0) }
    let standIns = layer.standIns.map { Matrix(rows: $0.rows, columns: $0.columns, elements: $0.values) }
    var problems: [RoutedProblem] = []
    for t in 0..<layer.tokens {
      do {
        let n = layer.shape.experts
        problems.append(
          try RoutedProblem(
            .mixture(
              MixtureProblem(
                logits: Array(logits[t * n..<(t + 1) * n]), outputs: outputs[t], scale: layer.parameters.scale?.values,
                defaults: standIns, source: .loss(losses[t]))),
            mask: options.mask))
      } catch { throw error.inside("token \(t)") }
    }
    self.problems = problems
    inputSquares = (0..<layer.tokens).map { token in
      Double.dot(layer.input.elements + token * d, layer.input.elements + token * d, scale: nil, count: d)
    }
  }

  /// f_i(x_t), for each token `[experts, outputs]`.
  private static func outputs(of layer: DumpedLayer, threads: Int) -> [Matrix] {
    let (shape, t) = (layer.shape, layer.tokens)
    let (n, e) = (shape.experts, shape.outputs)
    let tiles = tiles(t, of: 128)
    let found = parallelMap(0..<n * tiles.count, threads: threads) { task in
      let (i, tile) = (task / tiles.count, tiles[task % tiles.count])
      return Hidden(layer, expert: i, tokens: tile)
        .outputs(layer.parameters.experts, expert: i, count: tile.count)
    }
    return tiles.enumerated().flatMap { place, tile in
      tile.map { token in
        var elements: [Double] = []
        elements.reserveCapacity(n * e)
        for i in 0..<n {
          let first = (token - tile.lowerBound) * e
          elements += found[i * tiles.count + place][first..<first + e]
        }
        return Matrix(rows: n, columns: e, elements: elements)
      }
    }
  }

  /// θ, `[tokens, experts]`.
  static func logits(of layer: DumpedLayer) -> [Double] {
    let (t, n, d) = (layer.tokens, layer.shape.experts, layer.shape.inputs)
    var logits = [Double](repeating: 0, count: t * n)
    MatrixFactor.multiply(
      .memory(layer.input.elements, stride: d),
      .memory(layer.parameters.router.elements, stride: d, transposed: true),
      rows: t, columns: n, depth: d, into: &logits)
    if let bias = layer.parameters.routerBias { Double.addRow(bias.elements, to: &logits, rows: t, columns: n) }
    return logits
  }

  /// Consecutive ranges of nearly equal length, at most `size`.
  static func tiles(_ count: Int, of size: Int) -> [Range<Int>] {
    let parts = (count + size - 1) / size
    return (0..<parts).map { $0 * count / parts..<($0 + 1) * count / parts }
  }
}
