import LayerTensors
import MixtureOfExperts
import RoutingCore

/// What is said of a Switch layer on its way back, in Double.
extension RouterVisit<Double> {
  private var experts: Int { layer.shape.experts }

  /// What the router reads, `[tokens, width]`.
  private var routerInput: UnsafePointer<Double> { workspace.jitteredInput.map { UnsafePointer($0.elements) } ?? input }

  /// Experts are run on so many tokens times experts at a time.
  private static let rows = 2048

  /// `c_i = ∂L/∂y · (ω ⊙ f_i)` of every expert of some tokens, `[tokens, experts]`.
  ///
  /// - Parameter continuing: asked between parts; false ends the work.
  /// - Throws: ``AuditRequest/calledOff``.
  func slopes(
    of range: Range<Int>, threads: Int = 1, continuing: () -> Bool = { true }
  ) throws(Refusal) -> [Double] {
    let (n, d, e) = (experts, layer.shape.inputs, layer.shape.outputs)
    let every = MixtureLayer<Double>(layer.shape, router: EveryExpertRouter())
    let parts = Parts(range.count, of: max(Self.rows / n, 1))
    let room = LayerWorkspace(every, maximumTokens: min(parts.size, range.count))
    let scale = parameters.scale.map { UnsafePointer($0.elements) }
    var slopes: [Double] = []
    slopes.reserveCapacity(range.count * n)
    for part in 0..<parts.parts {
      guard continuing() else { throw AuditRequest.calledOff }
      let places = parts.range(part)
      let first = range.lowerBound + places.lowerBound
      try every.forward(
        input + first * d, tokens: places.count, parameters: parameters, workspace: room, randomness: nil,
        threads: threads)
      for t in 0..<places.count {
        for i in 0..<n {
          guard let output = room.expertOutput(token: t, slot: i) else { preconditionFailure("every expert has run") }
          slopes.append(Double.dot(upstream + (first + t) * e, output, scale: scale, count: e))
        }
      }
    }
    return slopes
  }

  /// The layer's router against dense back-propagation.
  ///
  /// - Returns: nil if a number is not finite.
  /// - Throws: ``AuditRequest/calledOff``.
  func audit(name: String, threads: Int, continuing: () -> Bool) throws(Refusal) -> NetworkAudit.Layer? {
    let (n, d, count) = (experts, layer.shape.inputs, workspace.tokens)
    let slopes = try slopes(of: 0..<count, threads: threads, continuing: continuing)
    var seenSlopes = [Double](repeating: 0, count: slopes.count)
    var load = [Int](repeating: 0, count: n)
    for t in 0..<count {
      for s in 0..<workspace.slotCount {
        let i = workspace.expert(token: t, slot: s)
        guard i >= 0 else { continue }
        seenSlopes[t * n + i] = slopes[t * n + i]
        if workspace.multiplier(token: t, slot: s) != 0 { load[i] += 1 }
      }
    }
    let seen = workspace.denseGradients(of: layer.router, slopes: seenSlopes)
    let unseen = workspace.denseGradients(of: layer.router, slopes: zip(slopes, seenSlopes).map { $0 - $1 })
    let own = workspace.routerLogitGradients
    func weight(_ gradient: [Double]) -> [Double] {
      let sum = Tensor<Double>(rows: n, columns: d)
      let gradient = Tensor<Double>(rows: count, columns: n, gradient)
      Double.multiply(
        MatrixView(gradient.elements, stride: n, transposed: true), MatrixView(routerInput, stride: d), rows: n,
        columns: d, depth: count, alpha: 1, beta: 0, into: sum.elements, stride: d)
      return sum.values
    }
    guard let logits = NetworkAudit.Gradient(own, seen: seen, unseen: unseen),
      let weights = NetworkAudit.Gradient(weight(own), seen: weight(seen), unseen: weight(unseen))
    else { return nil }
    let total = load.reduce(0, +)
    return NetworkAudit.Layer(
      name: name, experts: n, tokens: count, logits: logits, weight: weights,
      largestLoad: total > 0 ? Double(load.max() ?? 0) / Double(total) * Double(n) : nil,
      unused: load.count { $0 == 0 }, turnedAway: workspace.dropped)
  }
}
