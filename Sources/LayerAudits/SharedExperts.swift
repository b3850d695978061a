import CStandardLibrary
import LayerTensors
import RoutingCore

/// The shared experts of a layer: to the loss an offset, to the input's gradient a path.
struct SharedExperts: Sendable {
  private let layer: DumpedLayer
  private let weights: ExpertWeights<Double>
  /// Their sum, gates included, `[tokens, outputs]`.
  let output: [Double]
  /// `s_j(x_t)` without its gate, for each j `[tokens, outputs]`; empty where there are no gates.
  private let outputs: [[Double]]
  /// `σ_j`, for each j `[tokens]`; empty where there are none.
  private let gates: [[Double]]

  /// The shared experts of a layer, nil if it has none.
  init?(_ layer: DumpedLayer, threads: Int) {
    guard let weights = layer.parameters.shared else { return nil }
    self.layer = layer
    self.weights = weights
    let (t, d, e) = (layer.tokens, layer.shape.inputs, layer.shape.outputs)
    let tiles = AuditContext.tiles(t, of: 128)
    let parts = parallelMap(0..<weights.count * tiles.count, threads: threads) { task in
      let (j, tile) = (task / tiles.count, tiles[task % tiles.count])
      return Self.hidden(layer, weights, j, tile).outputs(weights, expert: j, count: tile.count)
    }
    let outputs = (0..<weights.count).map { j in tiles.indices.flatMap { parts[j * tiles.count + $0] } }
    let gates = layer.parameters.sharedGate.map { gate in
      (0..<weights.count).map { j in
        (0..<t).map { token in
          logistic(Double.dot(gate.row(j), layer.input.row(token), scale: nil, count: d))
        }
      }
    }
    var output = [Double](repeating: 0, count: t * e)
    for j in 0..<weights.count {
      for token in 0..<t {
        let factor = gates?[j][token] ?? 1
        for k in token * e..<(token + 1) * e { output[k] += factor * outputs[j][k] }
      }
    }
    self.output = output
    self.gates = gates ?? []
    self.outputs = gates == nil ? [] : outputs
  }

  private static func hidden(
    _ layer: DumpedLayer, _ weights: ExpertWeights<Double>, _ j: Int, _ tokens: Range<Int>
  ) -> Hidden {
    let d = layer.shape.inputs
    return Hidden(
      weights, layer.shape.activation, expert: j,
      inputs: .memory(layer.input.elements + tokens.lowerBound * d, stride: d), count: tokens.count)
  }

  /// Adds what comes to the inputs of rows of gradients at the layer's output.
  ///
  /// - Parameters:
  ///   - gradients: `[rows, outputs]`.
  ///   - tokens: consecutive ones.
  ///   - token: of each row.
  ///   - paths: where it is added, `[rows, inputs]`.
  func addPaths(_ gradients: [Double], tokens: Range<Int>, token: (Int) -> Int, to paths: inout [Double]) {
    let (d, e) = (layer.shape.inputs, layer.shape.outputs)
    let rows = gradients.count / e
    for j in 0..<weights.count {
      let hidden = Self.hidden(layer, weights, j, tokens)
      var scaled = gradients
      if !gates.isEmpty {
        for r in 0..<rows { for k in r * e..<(r + 1) * e { scaled[k] *= gates[j][token(r)] } }
      }
      let units = BackwardUnits(
        pulled: pulledBack(scaled, weights, expert: j), hidden, hidden: weights.hidden
      ) { token($0) - tokens.lowerBound }
      let inputs = units.inputs(weights, expert: j)
      for k in paths.indices { paths[k] += inputs[k] }
      guard let gate = layer.parameters.sharedGate else { continue }
      for r in 0..<rows {
        let t = token(r)
        var slope = 0.0
        for k in 0..<e { slope += gradients[r * e + k] * outputs[j][t * e + k] }
        slope *= gates[j][t] * (1 - gates[j][t])
        for k in 0..<d { paths[r * d + k] += slope * gate[j, k] }
      }
    }
  }
}

/// `1/(1 + e^{−x})`.
private func logistic(_ x: Double) -> Double { x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)) }
