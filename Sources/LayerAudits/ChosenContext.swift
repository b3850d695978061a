import LayerTensors
internal import RouterSpecifications
import RoutingCore

/// A layer whose router's specification says which experts a token has, with what every part of its audit needs, found once.
///
/// Nothing is drawn, so there is one thing that happens to a token, and no variance. With the gates g of its experts A known from the
/// logits, only A have to be evaluated for the output y; what comes after is linear in u = G'(y), so that one pass over the
/// experts gives every expert's slope and what u becomes on its way back through it (``ChosenPass``).
struct ChosenContext: Sendable {
  let layer: DumpedLayer
  let specification: RouterSpecification
  let threads: Int
  let shared: SharedExperts?
  let losses: LayerLosses
  /// The tokens' gates.
  let gates: [TokenGates]
  /// The tokens that have each expert, `[experts]`.
  let members: [[Int]]
  /// The place of each token's first expert among the rows of ``outputs``, and their number.
  let places: [Int]
  /// f of the experts that tokens have, in order of choice, `[places, outputs]`.
  let outputs: [Double]

  var tokens: Int { layer.tokens }
  var shape: LayerShape { layer.shape }
  var weights: ExpertWeights<Double> { layer.parameters.experts }

  /// Evaluates the experts that tokens have.
  ///
  /// - Precondition: the layer has a router that chooses.
  /// - Throws: `InvalidInput` for the first logit that is not finite.
  init(_ layer: DumpedLayer, threads: Int) throws(InvalidInput) {
    guard let router = layer.router, router.choice == .chosen else {
      preconditionFailure("a layer whose router chooses has one")
    }
    self.layer = layer
    specification = router.specification
    self.threads = threads
    let n = layer.shape.experts
    let logits = AuditContext.logits(of: layer)
    if let place = logits.firstIndex(where: { !$0.isFinite }) {
      throw InvalidInput("token \(place / n).logits[\(place % n)]", "expected a finite number, got \(logits[place])")
    }
    var call = RouterCall(
      mode: .eval, logits: (0..<layer.tokens).map { Array(logits[$0 * n..<($0 + 1) * n]) }, expertOutputs: [],
      upstream: [], uniforms: [])
    call.bias = router.selectionBias
    call.expertScales = router.expertScales
    guard let gates = RouterReference(router.specification).gates(of: call) else {
      preconditionFailure("a router that chooses says how")
    }
    var (members, places) = ([[Int]](repeating: [], count: n), [0])
    for (t, own) in gates.enumerated() {
      for expert in own.chosen { members[expert].append(t) }
      places.append(places[t] + own.chosen.count)
    }
    self.gates = gates
    self.members = members
    self.places = places
    shared = SharedExperts(layer, threads: threads)
    losses = LayerLosses(layer, shared: shared?.output)
    outputs = Self.outputs(layer, gates, members, places, threads: threads)
  }

  private static func outputs(
    _ layer: DumpedLayer, _ gates: [TokenGates], _ members: [[Int]], _ places: [Int], threads: Int
  ) -> [Double] {
    let (e, weights) = (layer.shape.outputs, layer.parameters.experts)
    let found = parallelMap(0..<members.count, threads: threads) { i in
      guard !members[i].isEmpty else { return [Double]() }
      let hidden = Hidden(
        weights, layer.shape.activation, expert: i, inputs: .rows(layer.inputs(members[i]), stride: layer.shape.inputs),
        count: members[i].count)
      return hidden.outputs(weights, expert: i, count: members[i].count)
    }
    var outputs = [Double](repeating: 0, count: places[gates.count] * e)
    for (i, tokens) in members.enumerated() {
      for (row, t) in tokens.enumerated() {
        guard let place = gates[t].chosen.firstIndex(of: i) else { continue }
        let first = (places[t] + place) * e
        for j in 0..<e { outputs[first + j] = found[i][row * e + j] }
      }
    }
    return outputs
  }
}

extension DumpedLayer {
  /// x of some tokens, `[tokens, inputs]`.
  func inputs(_ tokens: [Int]) -> [Double] { gathered(input.elements, tokens, width: shape.inputs) }
}

/// Some rows of a matrix.
func gathered(_ rows: UnsafePointer<Double>, _ places: [Int], width: Int) -> [Double] {
  [Double](unsafeUninitializedCapacity: places.count * width) { values, count in
    count = places.count * width
    guard let values = values.baseAddress else { return }
    for (k, place) in places.enumerated() { (values + k * width).initialize(from: rows + place * width, count: width) }
  }
}
