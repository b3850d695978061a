import LayerTensors
internal import RouterSpecifications
import RoutingCore

/// The ways in which a token's experts are mixed.
enum ChosenMixture: Hashable, Sendable {
  /// `Σ_{i∈A} g_i f_i`.
  case chosen
  /// `Σ_{i∈A} g_i f_i + Σ_{i∉A} g̃_i m_i`.
  case standIns
  /// Every expert with the gate that it has when all are chosen.
  case all
}

/// All tokens under one mixture: values and gradients of the loss there.
struct ChosenForward: Sendable {
  /// `Σ m f`, before the scale, `[tokens, outputs]`.
  let mixed: [Double]
  /// G, `[tokens]`.
  let values: [Double]
  /// G', `[tokens, outputs]`.
  let gradients: [Double]
  /// `w = ω ⊙ G'`, which an expert gets times its gate, `[tokens, outputs]`.
  let sent: [Double]

  init(_ mixture: ChosenMixture, _ context: ChosenContext) {
    let (layer, e) = (context.layer, context.shape.outputs)
    let scale = layer.parameters.scale?.values
    let tiles = AuditContext.tiles(context.tokens, of: 64)
    let parts = parallelMap(0..<tiles.count, threads: context.threads) { k in
      let tile = tiles[k]
      let mixed = mixture == .all ? Self.dense(tile, context) : Self.sparse(tile, mixture, context)
      var points = mixed
      if let scale { for p in points.indices { points[p] *= scale[p % e] } }
      let (values, gradients) = context.losses.evaluate(points, count: tile.count) { tile.lowerBound + $0 }
      return (mixed, values, gradients)
    }
    mixed = parts.flatMap(\.0)
    values = parts.flatMap(\.1)
    let gradients = parts.flatMap(\.2)
    self.gradients = gradients
    if let scale { sent = gradients.indices.map { gradients[$0] * scale[$0 % e] } } else { sent = gradients }
  }

  private static func sparse(_ tile: Range<Int>, _ mixture: ChosenMixture, _ context: ChosenContext) -> [Double] {
    let e = context.shape.outputs
    var mixed = [Double](repeating: 0, count: tile.count * e)
    func add(_ row: UnsafePointer<Double>, _ factor: Double, _ t: Int) {
      mixed.withUnsafeMutableBufferPointer {
        guard let start = $0.baseAddress else { return }
        Double.addScaled(row, factor: factor, scale: nil, to: start + (t - tile.lowerBound) * e, count: e)
      }
    }
    for t in tile {
      let gates = context.gates[t]
      context.outputs.withUnsafeBufferPointer { outputs in
        guard let outputs = outputs.baseAddress else { return }
        for (place, gate) in gates.values.enumerated() { add(outputs + (context.places[t] + place) * e, gate, t) }
      }
      guard mixture == .standIns, let standIns = context.layer.standIns, let dense = gates.dense else { continue }
      for i in 0..<context.shape.experts where !gates.chosen.contains(i) { add(standIns.row(i), dense[i], t) }
    }
    return mixed
  }

  /// Every expert of some tokens.
  private static func dense(_ tile: Range<Int>, _ context: ChosenContext) -> [Double] {
    let (n, e) = (context.shape.experts, context.shape.outputs)
    let gates = tile.map { context.gates[$0].choosingAll?.spread(over: n) ?? [] }
    var mixed = [Double](repeating: 0, count: tile.count * e)
    for i in 0..<n {
      let rows = Hidden(context.layer, expert: i, tokens: tile).outputs(context.weights, expert: i, count: tile.count)
      rows.withUnsafeBufferPointer { rows in
        mixed.withUnsafeMutableBufferPointer { mixed in
          guard let rows = rows.baseAddress, let mixed = mixed.baseAddress else { return }
          for (r, own) in gates.enumerated() where !own.isEmpty {
            Double.addScaled(rows + r * e, factor: own[i], scale: nil, to: mixed + r * e, count: e)
          }
        }
      }
    }
    return mixed
  }
}

extension TokenGates {
  /// The gates of the chosen, 0 elsewhere, `[experts]`.
  func spread(over experts: Int) -> [Double] {
    var all = [Double](repeating: 0, count: experts)
    for (expert, value) in zip(chosen, values) { all[expert] = value }
    return all
  }
}
