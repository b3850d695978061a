import MixtureOfExperts
import RoutingCore
import RoutingEstimators

/// The tokens' pass over one tile.
struct TokenTile {
  private(set) var sums: LawPass.TileSums
  private let pass: LawPass
  private let tokens: Range<Int>
  private let means: [MeanGradient]
  private let sent: Tensor<Double>

  /// A token's problem and what may happen to it.
  private struct Token {
    let index: Int
    let problem: RoutedProblem
    let outcomes: [Result<OutcomeDistribution, Unavailable>]
    let events: [ForwardEvents.Event]
    /// The place of its first event among those of the tile.
    let first: Int
  }

  private var context: AuditContext { pass.context }

  init(_ pass: LawPass, _ range: Range<Int>, means: [MeanGradient], sent: Tensor<Double>) {
    self.pass = pass
    self.tokens = range
    self.means = means
    self.sent = sent
    sums = LawPass.TileSums(
      subjects: pass.subjects.map { _ in LawPass.SubjectSums() },
      scaleMean: [Double](repeating: 0, count: pass.context.shape.outputs))
    do {
      try run()
    } catch {
      // The law itself does not exist here.
      for s in sums.subjects.indices { sums.subjects[s].unavailable = error }
    }
  }

  private mutating func run() throws(Unavailable) {
    var list: [Token] = []
    var count = 0
    for index in tokens {
      let problem: RoutedProblem
      do { problem = try context.problem(index) } catch { throw Unavailable("overflows Float64 at token \(index)") }
      let outcomes = pass.subjects.map { subject in
        Result { () throws(Unavailable) in try subject.outcomes(on: problem) }
      }
      let events =
        pass.isRouterOnly
        ? [] : try ForwardEvents(pass.law, on: problem, outcomes: try outcomes.first?.get()).events
      list.append(Token(index: index, problem: problem, outcomes: outcomes, events: events, first: count))
      count += events.count
    }
    let (d, e) = (context.shape.inputs, context.shape.outputs)
    var gradients = [Double](repeating: 0, count: count * e)
    // Each event's gradient of the input, but for the path through the router.
    var paths = [Double](repeating: 0, count: count * d)
    for token in list where !token.events.isEmpty { differentiateLoss(token, &gradients) }
    if context.layer.residual { paths = gradients }
    if !pass.isRouterOnly {
      for i in 0..<context.shape.experts { sendToExpert(i, list, gradients, &paths) }
    }
    for s in pass.subjects.indices {
      for token in list { collect(s, token, paths) }
    }
  }

  /// `G'(y)` of each event, and what the scale gets.
  private mutating func differentiateLoss(_ token: Token, _ gradients: inout [Double]) {
    let (e, t) = (context.shape.outputs, context.tokens)
    let scale = context.layer.parameters.scale
    let count = token.events.count
    var points = [Double](repeating: 0, count: count * e)
    var mixtures = points  // Σ backward f, which the scale multiplies
    for (k, event) in token.events.enumerated() {
      for slot in event.slots {
        let output = context.outputs.elements + (slot.expert * t + token.index) * e
        for j in 0..<e {
          points[k * e + j] += slot.forward * output[j] * (scale?.elements[j] ?? 1)
          mixtures[k * e + j] += slot.backward * output[j]
        }
      }
    }
    let found = TokenLoss(context.layer, token: token.index).evaluate(points, count: count).gradients
    for k in found.indices { gradients[token.first * e + k] = found[k] }
    guard scale != nil else { return }
    for k in mixtures.indices { mixtures[k] *= found[k] }
    let (mean, variance) = Self.moments(mixtures, count: count, width: e) { token.events[$0].probability }
    for j in 0..<e { sums.scaleMean[j] += mean[j] }
    if !pass.law.isAveraged { sums.scaleVariance += variance }
  }

  /// Sends every event's `v = backward · ω ⊙ G'(y)` back through an expert.
  private mutating func sendToExpert(
    _ i: Int, _ list: [Token], _ gradients: [Double], _ paths: inout [Double]
  ) {
    let (d, h, e) = (context.shape.inputs, context.shape.hidden, context.shape.outputs)
    let parameters = context.layer.parameters
    var rows: [(token: Int, event: Int, probability: Double)] = []
    var sentRows: [Double] = []
    for (place, token) in list.enumerated() {
      for (k, event) in token.events.enumerated() {
        for slot in event.slots where slot.expert == i {
          rows.append((place, token.first + k, event.probability))
          for j in 0..<e {
            sentRows.append(
              slot.backward * (parameters.scale?.elements[j] ?? 1) * gradients[(token.first + k) * e + j])
          }
        }
      }
    }
    guard !rows.isEmpty else { return }
    let hidden = Hidden(context.layer, expert: i, tokens: tokens)
    var units = [Double](repeating: 0, count: rows.count * h)
    Double.multiply(
      MatrixView(sentRows, stride: e), MatrixView(parameters.weights2.elements + i * e * h, stride: h),
      rows: rows.count, columns: h, depth: e, alpha: 1, beta: 0, into: &units, stride: h)
    hidden.slopes.withUnsafeBufferPointer { slopes in
      units.withUnsafeMutableBufferPointer { units in
        guard let slopes = slopes.baseAddress, let units = units.baseAddress else { return }
        for (r, row) in rows.enumerated() {
          Double.activateBackward(
            units + r * h, count: h, value: slopes, slope: slopes + row.token * h, activation: .silu)
        }
      }
    }
    var inputs = [Double](repeating: 0, count: rows.count * d)
    Double.multiply(
      MatrixView(units, stride: h), MatrixView(parameters.weights1.elements + i * h * d, stride: d),
      rows: rows.count, columns: d, depth: h, alpha: 1, beta: 0, into: &inputs, stride: d)
    for (r, row) in rows.enumerated() {
      for j in 0..<d { paths[row.event * d + j] += inputs[r * d + j] }
    }
    var start = 0
    while start < rows.count {
      var end = start
      while end < rows.count, rows[end].token == rows[start].token { end += 1 }
      addExpertMoments(i, list[rows[start].token], rows[start..<end].map(\.probability), start, sentRows, units, hidden)
      start = end
    }
  }

  /// The mean of v for a token and an expert, and the variance of the gradient by the expert's parameters.
  ///
  /// With s the probability that the expert is sent anything, μ its mean then and δ the deviations from it,
  /// `tr Cov = Σ_o p_o ‖G(δ_o)‖² + s(1 − s) ‖G(μ)‖²`, where `‖G(v)‖² = ‖v‖² (‖a‖² + [b₂]) + ‖u‖² (‖x‖² + [b₁])` for the outer products of v
  /// with the activations a and of u = W₂ᵀv ⊙ act' with x.
  private mutating func addExpertMoments(
    _ i: Int, _ token: Token, _ probabilities: [Double], _ start: Int, _ rows: [Double], _ units: [Double],
    _ hidden: Hidden
  ) {
    let (h, e, shape) = (context.shape.hidden, context.shape.outputs, context.shape)
    let share = probabilities.reduce(0, +)
    guard share > 0 else { return }
    let count = probabilities.count
    let weights = probabilities.map { $0 / share }
    let (mean, spread) = Self.moments(rows, from: start, count: count, width: e) { weights[$0] }
    let target = sent.elements + (i * context.tokens + token.index) * e
    for j in 0..<e { target[j] = share * mean[j] }
    guard !pass.law.isAveraged else { return }
    let (unitMean, unitSpread) = Self.moments(units, from: start, count: count, width: h) { weights[$0] }
    var others = 0.0
    for event in token.events where !event.slots.contains(where: { $0.expert == i }) { others += event.probability }
    let place = token.index - tokens.lowerBound
    let activations = hidden.values[place * h..<(place + 1) * h].reduce(0) { $0 + $1 * $1 }
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
    for k in 0..<n { means[s].logits[token.index, k] = moments.mean[k] }
    sums.subjects[s].routerVariance += moments.totalVariance
    sums.subjects[s].routerWeightVariance += moments.totalVariance * context.inputSquares[token.index]

    // The rows of the input's gradient: every outcome's path through the router, and what the event adds.
    let list = outcomes.outcomes
    var rows = throughRouter(list.map { outcomes.gradient(of: $0) })
    func path(_ event: Int) -> Int { (token.first + event) * d }
    let isAveraged = pass.law.isAveraged || list.count == 1 && list[0].choice.isEmpty
    if !pass.isRouterOnly {
      if isAveraged {
        for (k, event) in token.events.enumerated() {
          for j in 0..<d { rows[j] += event.probability * paths[path(k) + j] }
        }
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
    for j in 0..<d { means[s].input[token.index, j] = mean[j] }
    sums.subjects[s].inputVariance +=
      outcomes.samples > 1
      ? Self.pairVariance(rows, outcomes: outcomes, variance: variance, width: d) : isAveraged ? 0 : variance
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
    Double.multiply(
      MatrixView(gradients.flatMap { $0 }, stride: n), MatrixView(context.layer.parameters.router.elements, stride: d),
      rows: gradients.count, columns: d, depth: n, alpha: 1, beta: 0, into: &rows, stride: d)
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
