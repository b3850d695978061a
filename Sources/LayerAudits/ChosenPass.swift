import LayerTensors
internal import RouterSpecifications
import RoutingCore

/// All that one pass over the experts gives of a layer whose router chooses.
///
/// With u the gradient at the layer's output and `w = ω ⊙ u`, expert i turns `W₂ᵀ w` into its slope `w·f_i = W₂ᵀ w · h + w·b₂` and, times its
/// share of a law, into the gradients by its weights and by its input. So an expert's hidden units and `W₂ᵀ w` are
/// computed once for all laws, and what laws give its weights is compared at once and forgotten.
struct ChosenPass: Sendable {
  let context: ChosenContext
  let forwards: [ChosenMixture: ChosenForward]
  /// The laws, each once.
  let laws: [ChosenLaw]
  /// The place of the law whose gradients by the weights the others' are compared with.
  let reference: Int?
  /// Mixtures at which the slopes of every expert are asked for, chosen or not.
  let everySlope: Set<ChosenMixture>
  /// Whether the loss of every swap is asked for.
  let swaps: Bool
  /// Who is told the means of each law, divided by T.
  let writers: [MeanWriter?]
  /// The laws' shares of each token, `[laws][tokens][experts]`.
  private let shares: [[[Double]]]

  init(
    _ context: ChosenContext, forwards: [ChosenMixture: ChosenForward], laws: [ChosenLaw], reference: Int?,
    everySlope: Set<ChosenMixture>, swaps: Bool, writers: [MeanWriter?]
  ) {
    self.context = context
    self.forwards = forwards
    self.laws = laws
    self.reference = reference
    self.everySlope = everySlope
    self.swaps = swaps
    self.writers = writers
    let n = context.shape.experts
    shares = laws.map { law in context.gates.map { law.shares($0, experts: n) } }
  }

  /// What is found.
  struct Found: Sendable {
    /// `w·f_i`, by mixture `[tokens · experts]`; 0 where nobody asks for it.
    var slopes: [ChosenMixture: [Double]] = [:]
    /// The change of each token's loss where the expert takes the last one's place, `[tokens · experts]`; NaN where it cannot.
    var swaps: [Double] = []
    /// What comes to the inputs through the experts, by law `[tokens · inputs]`.
    var inputs: [[Double]]
    /// Squared norms over the experts' weights, times T², by law.
    var sums: [GroupSums]
    /// What the scale gets where nobody but the experts can tell, by law `[outputs]`.
    var scale: [[Double]]
  }

  /// Runs the pass.
  func run(onExpert: @Sendable () -> Void) -> Found {
    let (t, n, d) = (context.tokens, context.shape.experts, context.shape.inputs)
    // So many parts that the inputs' gradients of all of them take at most 256 MB.
    let most = max(4, min(32, 32_000_000 / max(1, laws.count * t * d)))
    let groups = AuditContext.tiles(n, of: (n + most - 1) / most)
    let parts = parallelMap(0..<groups.count, threads: context.threads) { k in
      var part = Part(self, experts: groups[k])
      for i in groups[k] {
        part.add(expert: i)
        onExpert()
      }
      return part
    }
    var found = Found(
      inputs: laws.map { _ in [Double](repeating: 0, count: t * d) }, sums: laws.map { _ in GroupSums() },
      scale: laws.map { _ in [Double](repeating: 0, count: context.shape.outputs) })
    for mixture in forwards.keys { found.slopes[mixture] = [Double](repeating: 0, count: t * n) }
    if swaps { found.swaps = [Double](repeating: .nan, count: t * n) }
    for part in parts {
      for (place, i) in part.experts.enumerated() {
        for (mixture, columns) in part.slopes {
          for token in 0..<t { found.slopes[mixture]?[token * n + i] = columns[place * t + token] }
        }
        if swaps { for token in 0..<t { found.swaps[token * n + i] = part.swaps[place * t + token] } }
      }
      for law in laws.indices {
        found.sums[law].add(part.sums[law])
        for k in found.inputs[law].indices { found.inputs[law][k] += part.inputs[law][k] }
        for k in found.scale[law].indices { found.scale[law][k] += part.scale[law][k] }
      }
    }
    return found
  }

  /// Some experts, one after the other.
  private struct Part: Sendable {
    let pass: ChosenPass
    let experts: Range<Int>
    /// `[experts, tokens]`.
    var slopes: [ChosenMixture: [Double]] = [:]
    var swaps: [Double] = []
    var inputs: [[Double]]
    var sums: [GroupSums]
    var scale: [[Double]]

    private var context: ChosenContext { pass.context }

    init(_ pass: ChosenPass, experts: Range<Int>) {
      self.pass = pass
      self.experts = experts
      let (t, shape) = (pass.context.tokens, pass.context.shape)
      for mixture in pass.forwards.keys { slopes[mixture] = [Double](repeating: 0, count: experts.count * t) }
      if pass.swaps { swaps = [Double](repeating: .nan, count: experts.count * t) }
      inputs = pass.laws.map { _ in [Double](repeating: 0, count: t * shape.inputs) }
      sums = pass.laws.map { _ in GroupSums() }
      scale = pass.laws.map { _ in [Double](repeating: 0, count: shape.outputs) }
    }

    mutating func add(expert i: Int) {
      var gradients = ExpertGradients(context.shape, laws: pass.laws.count)
      let tiles = AuditContext.tiles(context.tokens, of: 512)
      for (place, tile) in tiles.enumerated() {
        let isWhole = pass.swaps || !pass.everySlope.isEmpty || pass.laws.contains { $0.shares != .chosen }
        let tokens = isWhole ? Array(tile) : context.members[i].filter { tile.contains($0) }
        var rows: [GradientRows?] = pass.laws.map { _ in nil }
        if !tokens.isEmpty { add(expert: i, tokens, isWhole: isWhole, to: &rows) }
        guard place == tiles.count - 1 else {
          gradients.add(rows)
          continue
        }
        let found = gradients.sums(
          adding: rows, against: pass.laws.map { _ in pass.reference }, pass.writers, expert: i,
          tokens: context.tokens)
        for law in pass.laws.indices { sums[law].add(found[law]) }
      }
    }

    /// - Parameter gradients: what the tokens add to the gradient by the expert's weights, by law.
    private mutating func add(
      expert i: Int, _ tokens: [Int], isWhole: Bool, to gradients: inout [GradientRows?]
    ) {
      let (d, h, e) = (context.shape.inputs, context.shape.hidden, context.shape.outputs)
      let x = context.layer.inputs(tokens)
      let hidden = Hidden(
        context.weights, context.shape.activation, expert: i, inputs: .rows(x, stride: d), count: tokens.count)
      if pass.swaps { addSwaps(expert: i, tokens, hidden) }
      let first = (i - experts.lowerBound) * context.tokens
      for (mixture, forward) in pass.forwards {
        let rows =
          mixture == .standIns && isWhole
          ? tokens.indices.filter { context.gates[tokens[$0]].chosen.contains(i) } : Array(tokens.indices)
        guard !rows.isEmpty else { continue }
        let w = gathered(forward.sent, rows.map { tokens[$0] }, width: e)
        let pulled = pulledBack(w, context.weights, expert: i)
        let bias = context.weights.biases2.map { UnsafePointer($0.row(i)) }
        pulled.withUnsafeBufferPointer { pulled in
          w.withUnsafeBufferPointer { w in
            hidden.values.withUnsafeBufferPointer { units in
              guard let pulled = pulled.baseAddress, let w = w.baseAddress, let units = units.baseAddress else {
                return
              }
              for (k, row) in rows.enumerated() {
                let slope =
                  Double.dot(pulled + k * h, units + row * h, scale: nil, count: h)
                  + (bias.map { Double.dot(w + k * e, $0, scale: nil, count: e) } ?? 0)
                slopes[mixture]?[first + tokens[row]] = slope
              }
            }
          }
        }
        for law in pass.laws.indices where pass.laws[law].mixture == mixture {
          gradients[law] = addLaw(law, expert: i, tokens, rows, w: w, pulled: pulled, hidden, x)
        }
      }
    }

    /// A law's share of what comes back.
    ///
    /// - Parameters:
    ///   - tokens: those of the hidden units.
    ///   - rows: the places among them of the rows of w and of `W₂ᵀ w`.
    /// - Returns: what it adds to the gradient by the expert's weights.
    private mutating func addLaw(
      _ law: Int, expert i: Int, _ tokens: [Int], _ rows: [Int], w: [Double], pulled: [Double], _ hidden: Hidden,
      _ x: [Double]
    ) -> GradientRows? {
      let (d, h, e) = (context.shape.inputs, context.shape.hidden, context.shape.outputs)
      let shares = rows.map { pass.shares[law][tokens[$0]][i] }
      let own = rows.indices.filter { shares[$0] != 0 }
      guard !own.isEmpty else { return nil }
      let isAll = own.count == tokens.count
      let places = own.map { rows[$0] }
      let factors = own.map { shares[$0] }
      let v = scaled(isAll ? w : gathered(w, own, width: e), by: factors, width: e)
      let back = BackwardUnits(
        pulled: scaled(isAll ? pulled : gathered(pulled, own, width: h), by: factors, width: h), hidden, hidden: h
      ) { places[$0] }
      let units = isAll ? hidden.values : gathered(hidden.values, places, width: h)
      let found = GradientRows(
        v: v, back: back, units: units, x: .rows(isAll ? x : gathered(x, places, width: d), stride: d),
        count: own.count)
      let (owners, weights) = (places.map { tokens[$0] }, context.weights)
      inputs[law].withUnsafeMutableBufferPointer { inputs in
        guard let inputs = inputs.baseAddress else { return }
        if owners[owners.count - 1] - owners[0] == owners.count - 1 {
          // Neighbours: straight to their place.
          return back.setInputs(weights, expert: i, adding: true, to: inputs + owners[0] * d)
        }
        back.inputs(weights, expert: i).withUnsafeBufferPointer { found in
          guard let found = found.baseAddress else { return }
          for (row, t) in owners.enumerated() {
            Double.addScaled(found + row * d, factor: 1, scale: nil, to: inputs + t * d, count: d)
          }
        }
      }
      guard context.shape.scale, pass.laws[law].shares == .dense, let forward = pass.forwards[pass.laws[law].mixture]
      else { return found }
      let f = hidden.outputs(context.weights, expert: i, count: tokens.count)
      for (k, place) in places.enumerated() {
        for j in 0..<e {
          scale[law][j] += factors[k] * forward.gradients[tokens[place] * e + j] * f[place * e + j]
        }
      }
      return found
    }

    /// The loss of each token with the expert in the place of the last one chosen, less what it is.
    private mutating func addSwaps(expert i: Int, _ tokens: [Int], _ hidden: Hidden) {
      guard let forward = pass.forwards[.chosen] else { return }
      let e = context.shape.outputs
      let f = hidden.outputs(context.weights, expert: i, count: tokens.count)
      var (points, owners) = ([Double](), [Int]())
      for (row, t) in tokens.enumerated() {
        guard let other = context.swap(t, for: i) else { continue }
        var point = [Double](repeating: 0, count: e)
        for (place, gate) in other.values.enumerated() {
          let isOther = other.chosen[place] == i
          let first = isOther ? row * e : (context.places[t] + place) * e
          for j in 0..<e { point[j] += gate * (isOther ? f[first + j] : context.outputs[first + j]) }
        }
        if let scale = context.layer.parameters.scale { for j in 0..<e { point[j] *= scale.elements[j] } }
        points += point
        owners.append(t)
      }
      let values = context.losses.evaluate(points, count: owners.count) { owners[$0] }.values
      for (k, t) in owners.enumerated() {
        swaps[(i - experts.lowerBound) * context.tokens + t] = values[k] - forward.values[t]
      }
    }
  }
}

/// Rows times factors, `[rows, width]`.
private func scaled(_ rows: [Double], by factors: [Double], width: Int) -> [Double] {
  [Double](unsafeUninitializedCapacity: rows.count) { values, count in
    count = rows.count
    guard let values = values.baseAddress else { return }
    rows.withUnsafeBufferPointer { rows in
      guard let rows = rows.baseAddress else { return }
      for (r, factor) in factors.enumerated() {
        Double.setScaled(rows + r * width, factor: factor, scale: nil, to: values + r * width, count: width)
      }
    }
  }
}

extension ChosenContext {
  /// A token's gates with an expert in the place of its last one; nil where it has the expert already, may not have it, or has
  /// none to replace.
  func swap(_ t: Int, for expert: Int) -> TokenGates? {
    gates[t].couldHave(expert) ? gates[t].swappingLast(for: expert) : nil
  }
}
