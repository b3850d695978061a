import LayerTensors
import RoutingCore
import RoutingEstimators

/// One pass over some tokens of a chunk.
struct TokenTile {
  private(set) var sums: LawPass.Sums
  private let pass: LawPass
  private let chunk: TokenChunk
  /// Of the chunk's tokens, those of this tile.
  private let places: Range<Int>

  /// A token's problem and what may happen to it.
  private struct Token {
    let index: Int
    /// Its place in the chunk.
    let place: Int
    let problem: RoutedProblem
    let outcomes: [Result<OutcomeDistribution, Unavailable>]
    let events: [ForwardEvents.Event]
    /// The place of its first event among those of the tile.
    let first: Int
    /// The first row of its inputs' gradients: one for each event, or one for the mean over them.
    let path: Int
  }

  private var context: AuditContext { pass.context }

  init(_ pass: LawPass, _ chunk: TokenChunk, _ places: Range<Int>) {
    self.pass = pass
    self.chunk = chunk
    self.places = places
    sums = LawPass.Sums(pass)
    do {
      try run()
    } catch {
      // The law itself does not exist here.
      for s in sums.subjects.indices { sums.subjects[s].unavailable = error }
    }
  }

  private mutating func run() throws(Unavailable) {
    var list: [Token] = []
    var (count, pathCount) = (0, 0)
    for place in places {
      let index = chunk.tokens.lowerBound + place
      let problem: RoutedProblem
      do { problem = try chunk.problems[place].get() } catch {
        throw Unavailable("overflows Float64 at token \(index)")
      }
      let outcomes = pass.subjects.map { subject in
        Result { () throws(Unavailable) in try subject.outcomes(on: problem) }
      }
      let events =
        pass.sent == nil
        ? [] : try ForwardEvents(pass.law, on: problem, outcomes: try outcomes.first?.get()).events
      list.append(
        Token(
          index: index, place: place, problem: problem, outcomes: outcomes, events: events, first: count,
          path: pathCount))
      count += events.count
      pathCount += pass.isAveraged ? 1 : events.count
    }
    let (d, e) = (context.shape.inputs, context.shape.outputs)
    var gradients = [Double](repeating: 0, count: count * e)
    // The inputs' gradients, but for the path through the router.
    var paths = [Double](repeating: 0, count: pathCount * d)
    if pass.sent != nil {
      for token in list {
        differentiateLoss(token, &gradients)
        if context.layer.residual { startPaths(token, gradients, &paths) }
      }
      for i in 0..<context.shape.experts { sendToExpert(i, list, gradients, &paths) }
    }
    for s in pass.subjects.indices {
      for token in list { collect(s, token, paths) }
    }
  }

  /// What the inputs get through the residual.
  private func startPaths(_ token: Token, _ gradients: [Double], _ paths: inout [Double]) {
    let d = context.shape.inputs
    for (k, event) in token.events.enumerated() {
      let row = token.path + (pass.isAveraged ? 0 : k)
      let weight = pass.isAveraged ? event.probability : 1
      for j in 0..<d { paths[row * d + j] += weight * gradients[(token.first + k) * d + j] }
    }
  }

  /// `G'(y)` of each event, and what the scale gets.
  private mutating func differentiateLoss(_ token: Token, _ gradients: inout [Double]) {
    let (e, t) = (context.shape.outputs, context.tokens)
    let scale = context.layer.parameters.scale.map { UnsafePointer($0.elements) }
    let count = token.events.count
    var points = [Double](repeating: 0, count: count * e)
    // Σ backward f, which the scale multiplies.
    var mixtures = [Double](repeating: 0, count: scale == nil ? 0 : count * e)
    points.withUnsafeMutableBufferPointer { points in
      mixtures.withUnsafeMutableBufferPointer { mixtures in
        guard let points = points.baseAddress else { return }
        for (k, event) in token.events.enumerated() {
          for slot in event.slots {
            let output = context.outputs.elements + (slot.expert * t + token.index) * e
            Double.addScaled(output, factor: slot.forward, scale: scale, to: points + k * e, count: e)
            guard let mixtures = mixtures.baseAddress, scale != nil else { continue }
            Double.addScaled(output, factor: slot.backward, scale: nil, to: mixtures + k * e, count: e)
          }
        }
      }
    }
    let found = TokenLoss(context.layer, token: token.index).evaluate(points, count: count).gradients
    gradients.replaceSubrange(token.first * e..<token.first * e + found.count, with: found)
    guard scale != nil else { return }
    for k in mixtures.indices { mixtures[k] *= found[k] }
    let (mean, variance) = Self.moments(mixtures, count: count, width: e) { token.events[$0].probability }
    for j in 0..<e { sums.scaleMean[j] += mean[j] }
    if !pass.isAveraged { sums.scaleVariance += variance }
  }

  /// Sends every event's `v = backward · ω ⊙ G'(y)` back through an expert.
  private mutating func sendToExpert(_ i: Int, _ list: [Token], _ gradients: [Double], _ paths: inout [Double]) {
    let (d, h, e) = (context.shape.inputs, context.shape.hidden, context.shape.outputs)
    let parameters = context.layer.parameters
    var rows = SentRows(expert: i, width: e)
    gradients.withUnsafeBufferPointer { gradients in
      guard let gradients = gradients.baseAddress else { return }
      for (k, token) in list.enumerated() {
        rows.add(
          token: k, events: token.events, gradients: gradients + token.first * e, path: token.path,
          isAveraged: pass.isAveraged, context: context, index: token.index)
      }
    }
    guard rows.count > 0 else { return }
    let hidden = chunk.hidden[i]
    var units = [Double](repeating: 0, count: rows.count * h)
    MatrixFactor.multiply(
      .rows(rows.vectors, stride: e), .memory(parameters.weights2.elements + i * e * h, stride: h),
      rows: rows.count, columns: h, depth: e, into: &units)
    hidden.slopes.withUnsafeBufferPointer { slopes in
      units.withUnsafeMutableBufferPointer { units in
        guard let slopes = slopes.baseAddress, let units = units.baseAddress else { return }
        for group in rows.groups {
          for r in group.rows {
            Double.activateBackward(
              units + r * h, count: h, value: slopes, slope: slopes + list[group.token].place * h, activation: .silu)
          }
        }
      }
    }
    var inputs = [Double](repeating: 0, count: rows.count * d)
    MatrixFactor.multiply(
      .rows(units, stride: h), .memory(parameters.weights1.elements + i * h * d, stride: d),
      rows: rows.count, columns: d, depth: h, into: &inputs)
    inputs.withUnsafeBufferPointer { inputs in
      paths.withUnsafeMutableBufferPointer { paths in
        guard let inputs = inputs.baseAddress, let paths = paths.baseAddress else { return }
        for use in rows.uses {
          for term in rows.terms[use.terms] {
            Double.addScaled(inputs + term.row * d, factor: term.factor, scale: nil, to: paths + use.path * d, count: d)
          }
        }
      }
    }
    for group in rows.groups { addExpertMoments(group, list[group.token], rows, units, hidden) }
  }

  /// The mean of v for a token and an expert, and the variance of the gradient by the expert's parameters.
  ///
  /// With s the probability that the expert is sent anything, μ its mean then and δ the deviations from it,
  /// `tr Cov = Σ_o p_o ‖G(δ_o)‖² + s(1 − s) ‖G(μ)‖²`, where `‖G(v)‖² = ‖v‖² (‖a‖² + [b₂]) + ‖u‖² (‖x‖² + [b₁])` for the outer products of v
  /// with the activations a and of u = W₂ᵀv ⊙ act' with x.
  private mutating func addExpertMoments(
    _ group: SentRows.Group, _ token: Token, _ rows: SentRows, _ units: [Double], _ hidden: Hidden
  ) {
    let (i, h, e, shape) = (rows.expert, context.shape.hidden, context.shape.outputs, context.shape)
    let share = rows.uses[group.uses].reduce(0) { $0 + $1.probability }
    guard share > 0, let target = pass.sent.map({ $0.elements + (i * context.tokens + token.index) * e }) else {
      return
    }
    let (mean, spread) = rows.moments(of: group, rows.vectors, length: e, share: share)
    for j in 0..<e { target[j] = share * mean[j] }
    guard !pass.isAveraged else { return }
    let (unitMean, unitSpread) = rows.moments(of: group, units, length: h, share: share)
    var others = 0.0
    for event in token.events where !event.slots.contains(where: { $0.expert == i }) { others += event.probability }
    let activations = hidden.values[token.place * h..<(token.place + 1) * h].reduce(0) { $0 + $1 * $1 }
    let left = activations + (shape.outputBias ? 1 : 0)
    let right = context.inputSquares[token.index] + (shape.hiddenBias ? 1 : 0)
    let between = mean.reduce(0) { $0 + $1 * $1 } * left + unitMean.reduce(0) { $0 + $1 * $1 } * right
    sums.expertsVariance += share * (spread * left + unitSpread * right + others * between)
  }

  /// Mean and total variance of vectors, `[count, width]`, with weights that sum to one.
  static func moments(
    _ rows: [Double], from start: Int = 0, count: Int, width: Int, _ weight: (Int) -> Double
  ) -> (mean: [Double], variance: Double) {
    var mean = [Double](repeating: 0, count: width)
    var variance = 0.0
    rows.withUnsafeBufferPointer { rows in
      for k in 0..<count {
        let w = weight(k)
        for j in 0..<width { mean[j] += w * rows[(start + k) * width + j] }
      }
      guard count > 1 else { return }
      for k in 0..<count {
        var square = 0.0
        for j in 0..<width {
          let deviation = rows[(start + k) * width + j] - mean[j]
          square += deviation * deviation
        }
        variance += weight(k) * square
      }
    }
    return (mean, variance)
  }
}

// MARK: - Router and input

extension TokenTile {
  /// A subject's figures for the router and the input of one token.
  private mutating func collect(_ s: Int, _ token: Token, _ paths: [Double]) {
    let outcomes: OutcomeDistribution
    switch token.outcomes[s] {
    case .failure(let reason):
      sums.subjects[s].unavailable = reason
      return
    case .success(let found): outcomes = found
    }
    let (n, d) = (context.shape.experts, context.shape.inputs)
    let moments = outcomes.moments()
    for k in 0..<n { pass.means[s].logits[token.index, k] = moments.mean[k] }
    sums.subjects[s].routerVariance += moments.totalVariance
    sums.subjects[s].routerWeightVariance += moments.totalVariance * context.inputSquares[token.index]

    // The rows of the input's gradient: every outcome's path through the router, and what the event adds.
    let list = outcomes.outcomes
    var rows = throughRouter(list.map { outcomes.gradient(of: $0) })
    func path(_ row: Int) -> Int { (token.path + row) * d }
    if pass.sent != nil {
      if pass.isAveraged {
        for j in 0..<d { rows[j] += paths[path(0) + j] }
      } else if outcomes.samples == 1 {
        for k in list.indices { for j in 0..<d { rows[k * d + j] += paths[path(k) + j] } }
      } else {
        let width = token.events.count
        for k in list.indices {
          let (one, two) = (path(k / width), path(k % width))
          for j in 0..<d { rows[k * d + j] += 0.5 * (paths[one + j] + paths[two + j]) }
        }
      }
    }
    let (mean, variance) = TokenTile.moments(rows, count: list.count, width: d) { list[$0].probability }
    for j in 0..<d { pass.means[s].input[token.index, j] = mean[j] }
    sums.subjects[s].inputVariance +=
      outcomes.samples > 1
      ? Self.pairVariance(rows, outcomes: outcomes, variance: variance, width: d) : pass.isAveraged ? 0 : variance
    mean.withUnsafeBufferPointer { mean in
      guard let mean = mean.baseAddress else { return }
      let target = pass.reference.map { UnsafePointer($0.input.elements + token.index * d) }
      sums.subjects[s].input.add(mean, target, count: d)
    }
  }

  /// `Wᵀ ĝ` of each gradient, `[gradients, inputs]`.
  private func throughRouter(_ gradients: [[Double]]) -> [Double] {
    let (n, d) = (context.shape.experts, context.shape.inputs)
    var rows = [Double](repeating: 0, count: gradients.count * d)
    MatrixFactor.multiply(
      .rows(gradients.flatMap { $0 }, stride: n), .memory(context.layer.parameters.router.elements, stride: d),
      rows: gradients.count, columns: d, depth: n, into: &rows)
    return rows
  }

  /// The total variance of an average over the pairs of K draws, `2/(K(K−1)) [2(K−2) ζ₁ + ζ₂]`.
  private static func pairVariance(
    _ rows: [Double], outcomes: OutcomeDistribution, variance: Double, width d: Int
  ) -> Double {
    let support = outcomes.distribution.support
    let p = outcomes.distribution.probabilities
    var first = [Double](repeating: 0, count: support.count * d)
    for i in support.indices {
      for (j, expert) in support.enumerated() {
        for k in 0..<d { first[i * d + k] += p[expert] * rows[(i * support.count + j) * d + k] }
      }
    }
    let one = moments(first, count: support.count, width: d) { p[support[$0]] }.variance
    let samples = Double(outcomes.samples)
    return 2 / (samples * (samples - 1)) * (2 * (samples - 2) * one + variance)
  }
}
