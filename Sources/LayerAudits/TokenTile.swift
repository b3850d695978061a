import LayerTensors
import RoutingCore
import RoutingEstimators

/// Some tokens of a chunk under one law.
///
/// A token's events come all at once, or, where two draws have too many of them, after some first draws at a time; what was found
/// is put together in a ``TokenTally``, so that memory is bounded whatever the number of experts.
struct TokenTile {
  private let pass: LawPass
  private let chunk: TokenChunk
  /// Of the chunk's tokens, those of this tile.
  private let places: Range<Int>

  /// A token's problem, with what is known of all of its events.
  struct Token {
    let index: Int
    /// Its place in the chunk.
    let place: Int
    let problem: RoutedProblem
    /// The two draws, under laws of pairs.
    let pairs: PairDistribution?
    /// The outcomes of the estimator that is the law.
    let outcomes: OutcomeDistribution?
  }

  /// Events of a token.
  struct Events {
    let token: Token
    let list: ForwardEvents
    /// The places of each expert's slots.
    let slots: [[Int]]
    /// The place of the first event among those of the tile.
    let first: Int
    /// The first row of the inputs' gradients: one for each event, or one for the mean over them.
    let path: Int
  }

  private var context: AuditContext { pass.context }
  private var shape: LayerShape { pass.context.shape }

  init(_ pass: LawPass, _ chunk: TokenChunk, _ places: Range<Int>) {
    self.pass = pass
    self.chunk = chunk
    self.places = places
  }

  /// What the tokens' gradients are.
  func found() -> LawPass.Found {
    var found = LawPass.Found(pass)
    do {
      try find(&found)
    } catch {
      // The law itself does not exist here.
      for s in found.subjects.indices { found.subjects[s].unavailable = error }
    }
    return found
  }

  private func find(_ found: inout LawPass.Found) throws(Unavailable) {
    var tokens: [Token] = []
    for place in places { tokens.append(try token(at: place)) }
    var tallies = tokens.map { _ in TokenTally(shape, subjects: pass.subjects.count) }
    var (events, paths) = ([Events](), [Double]())
    // More than one part only where a tile is a single token.
    for part in pass.parts(firsts: tokens.reduce(0) { max($0, $1.problem.distribution.support.count) }) {
      events = try eventLists(tokens, part)
      paths = try addUp(events, &tallies)
    }
    for (k, own) in events.enumerated() {
      for s in pass.subjects.indices {
        let figures: Result<RouterFigures, Unavailable> =
          if let pair = tallies[k].pairs[s] { .success(pair) } else {
            Result(pass.subjects[s], own.token, chunk, pass, paths: paths, first: own.path, tallies[k].meanPath)
          }
        found.subjects[s].add(figures, token: own.token.index, pass)
      }
      if pass.goesThroughExperts { collect(tallies[k], own, &found) }
    }
    found.sent = sentRows(tallies)
  }

  /// Adds events to the tallies of their tokens.
  ///
  /// - Returns: the inputs' gradients, but for the path through the router.
  private func addUp(_ events: [Events], _ tallies: inout [TokenTally]) throws(Unavailable) -> [Double] {
    let (d, e) = (shape.inputs, shape.outputs)
    var gradients = [Double](repeating: 0, count: events.reduce(0) { $0 + $1.list.count } * e)
    let rows = events.reduce(0) { $0 + (pass.isAveraged ? 1 : $1.list.count) }
    var paths = [Double](repeating: 0, count: rows * d)
    for (k, own) in events.enumerated() where own.list.count > 0 {
      let (found, scale) = lossGradients(own)
      gradients.replaceSubrange(own.first * e..<own.first * e + found.count, with: found)
      guard pass.goesThroughExperts else { continue }
      if let scale { tallies[k].addScale(scale) }
      if context.layer.residual { addResidual(own, found, &paths) }
      if let shared = context.shared { addShared(shared, own, found, &paths) }
    }
    if pass.goesThroughExperts {
      for i in 0..<shape.experts { sendToExpert(i, events, gradients, &paths, &tallies) }
    }
    for (k, own) in events.enumerated() {
      if pass.isAveraged { tallies[k].addMeanPath(paths[own.path * d..<(own.path + 1) * d]) }
      try addPairs(own, gradients, paths, &tallies[k])
    }
    return paths
  }

  private func token(at place: Int) throws(Unavailable) -> Token {
    let index = chunk.tokens.lowerBound + place
    let problem = context.problems[index]
    var outcomes: OutcomeDistribution?
    if case .outcomes = pass.law { outcomes = try pass.subjects[0].outcomes(on: problem) }
    return Token(
      index: index, place: place, problem: problem, pairs: pass.law.isOfPairs ? try PairDistribution(problem) : nil,
      outcomes: outcomes)
  }

  private func eventLists(_ tokens: [Token], _ part: Range<Int>) throws(Unavailable) -> [Events] {
    var lists: [Events] = []
    var (first, path) = (0, 0)
    for token in tokens {
      let firsts = part.clamped(to: 0..<token.problem.distribution.support.count)
      let list =
        pass.needsEvents
        ? try ForwardEvents(
          pass.law, on: token.problem, pairs: token.pairs, firsts: firsts, outcomes: token.outcomes)
        : ForwardEvents()
      lists.append(
        Events(token: token, list: list, slots: list.slotsByExpert(shape.experts), first: first, path: path))
      first += list.count
      path += pass.isAveraged ? 1 : list.count
    }
    return lists
  }

  // MARK: - Loss and experts

  /// `G'(y)` of each event, `[events, outputs]`, and the moments of what the scale gets.
  private func lossGradients(_ events: Events) -> (gradients: [Double], scale: WeightedMoments?) {
    let (e, count) = (shape.outputs, events.list.count)
    let scale = context.layer.parameters.scale.map { UnsafePointer($0.elements) }
    var points = [Double](repeating: 0, count: count * e)
    // Σ backward f, which the scale multiplies.
    var mixtures = [Double](repeating: 0, count: scale == nil ? 0 : count * e)
    context.outputs[events.token.index].elements.withUnsafeBufferPointer { outputs in
      points.withUnsafeMutableBufferPointer { points in
        mixtures.withUnsafeMutableBufferPointer { mixtures in
          guard let outputs = outputs.baseAddress, let points = points.baseAddress else { return }
          for slot in events.list.slots {
            let output =
              slot.isStandIn
              ? context.layer.standIns.map { UnsafePointer($0.row(slot.expert)) } : outputs + slot.expert * e
            guard let output else { continue }
            Double.addScaled(output, factor: slot.forward, scale: scale, to: points + slot.event * e, count: e)
            guard let mixtures = mixtures.baseAddress, scale != nil else { continue }
            Double.addScaled(output, factor: slot.backward, scale: nil, to: mixtures + slot.event * e, count: e)
          }
        }
      }
    }
    let gradients = context.losses[events.token.index].evaluate(points, count: count).gradients
    guard scale != nil else { return (gradients, nil) }
    for k in mixtures.indices { mixtures[k] *= gradients[k] }
    return (gradients, moments(of: mixtures, width: e, events.list))
  }

  /// The moments over events of vectors, `[events, width]`.
  private func moments(of rows: [Double], width: Int, _ events: ForwardEvents) -> WeightedMoments {
    WeightedMoments(rows, count: events.count, width: width, total: pass.weight(of: events)) {
      events.events[$0].probability
    }
  }

  /// What the inputs get through the residual.
  private func addResidual(_ events: Events, _ gradients: [Double], _ paths: inout [Double]) {
    let d = shape.inputs
    for (k, event) in events.list.events.enumerated() {
      let row = events.path + (pass.isAveraged ? 0 : k)
      let weight = pass.isAveraged ? event.probability : 1
      for j in 0..<d { paths[row * d + j] += weight * gradients[k * d + j] }
    }
  }

  /// What the inputs get through the shared experts.
  private func addShared(
    _ shared: SharedExperts, _ events: Events, _ gradients: [Double], _ paths: inout [Double]
  ) {
    let (d, e, token) = (shape.inputs, shape.outputs, events.token.index)
    var rows = gradients
    if pass.isAveraged {
      rows = [Double](repeating: 0, count: e)
      for (k, event) in events.list.events.enumerated() {
        for j in 0..<e { rows[j] += event.probability * gradients[k * e + j] }
      }
    }
    var found = [Double](repeating: 0, count: rows.count / e * d)
    shared.addPaths(rows, tokens: token..<token + 1, token: { _ in token }, to: &found)
    for k in found.indices { paths[events.path * d + k] += found[k] }
  }

  /// Sends every event's v back through an expert: `u = W₂ᵀ v ⊙ act'` behind its hidden units, `W₁ᵀ u` at its input.
  private func sendToExpert(
    _ i: Int, _ events: [Events], _ gradients: [Double], _ paths: inout [Double], _ tallies: inout [TokenTally]
  ) {
    let (d, e, weights) = (shape.inputs, shape.outputs, context.layer.parameters.experts)
    var rows = SentRows(expert: i, context: context)
    gradients.withUnsafeBufferPointer { gradients in
      guard let gradients = gradients.baseAddress else { return }
      for (k, own) in events.enumerated() {
        rows.add(
          token: k, events: own.list, places: own.slots[i], gradients: gradients + own.first * e,
          meanOnly: pass.isAveraged, loss: context.losses[own.token.index], outputs: context.outputs[own.token.index])
      }
    }
    guard rows.count > 0 else { return }
    var places = [Int](repeating: 0, count: rows.count)
    for group in rows.groups { for r in group.rows { places[r] = events[group.token].token.place } }
    let units = BackwardUnits(
      pulled: pulledBack(rows.vectors, weights, expert: i), chunk.hidden[i], hidden: shape.hidden
    ) { places[$0] }
    let inputs = units.inputs(weights, expert: i)
    paths.withUnsafeMutableBufferPointer { paths in
      guard let paths = paths.baseAddress else { return }
      for group in rows.groups { rows.add(group, inputs, length: d, to: paths + events[group.token].path * d) }
    }
    for group in rows.groups where group.share > 0 {
      let sent = rows.sentMoments(of: group)
      if pass.isAveraged {
        tallies[group.token].addMean(sent.mean, expert: i)
      } else {
        tallies[group.token].add(
          sent: sent, units: rows.moments(of: group, units.values, length: units.width), expert: i)
      }
    }
  }

  // MARK: - Sums

  /// The moments of the gradients of estimators of pairs.
  private func addPairs(
    _ events: Events, _ gradients: [Double], _ paths: [Double], _ tally: inout TokenTally
  ) throws(Unavailable) {
    guard let pairs = events.token.pairs else { return }
    let d = shape.inputs
    for s in pass.subjects.indices where pass.subjects[s].isOfPairs {
      let own = try PairGradients(
        events.token.problem, pairs, events.list, gradients: gradients[(events.first * shape.outputs)...])
      var rows = Array(paths[events.path * d..<(events.path + events.list.count) * d])
      own.addPaths(
        to: &rows, events.list, pairs, scores: chunk.scores[events.token.place],
        router: context.layer.parameters.router)
      tally.addPairs(RouterFigures(router: own.moments, input: moments(of: rows, width: d, events.list)), subject: s)
    }
  }

  /// The variances of the gradients by a token's experts and by the scale.
  ///
  /// With s the probability that the expert is sent anything, μ its mean then and δ the deviations from it,
  /// `tr Cov = Σ_o p_o ‖G(δ_o)‖² + s(1 − s) ‖G(μ)‖²`, where `‖G(v)‖² = ‖v‖² (‖a‖² + [b₂]) + ‖u‖² (‖x‖² + [b₁])` for the outer products of v
  /// with the activations a and of u = W₂ᵀv ⊙ act' with x; of gated experts u has the gradients behind both maps of x, one after the other.
  private func collect(_ tally: TokenTally, _ events: Events, _ found: inout LawPass.Found) {
    let token = events.token
    if let scale = tally.scale {
      for j in found.scaleMean.indices { found.scaleMean[j] += scale.mean[j] }
      if !pass.isAveraged { found.scaleVariance += scale.variance }
    }
    guard !pass.isAveraged else { return }
    let idle = pass.law.idle(on: token.problem, pairs: token.pairs, events: events.list)
    let right = context.inputSquares[token.index] + (shape.hiddenBias ? 1 : 0)
    for i in 0..<shape.experts {
      guard let (sent, units) = tally.experts[i], let units else { continue }
      let activations = chunk.hidden[i].values[token.place * shape.hidden..<(token.place + 1) * shape.hidden]
      let left = squaredNorm(activations) + (shape.outputBias ? 1 : 0)
      let between = squaredNorm(sent.mean) * left + squaredNorm(units.mean) * right
      found.expertsVariance += sent.weight * (sent.variance * left + units.variance * right + idle[i] * between)
    }
  }

  /// The mean of v, `[experts, tokens, outputs]`.
  private func sentRows(_ tallies: [TokenTally]) -> [SentVectors.Part] {
    guard pass.goesThroughExperts else { return [] }
    var values = [Double](repeating: 0, count: shape.experts * tallies.count * shape.outputs)
    for i in 0..<shape.experts {
      for (k, tally) in tallies.enumerated() {
        guard let sent = tally.experts[i]?.sent else { continue }
        let first = (i * tallies.count + k) * shape.outputs
        for j in 0..<shape.outputs { values[first + j] = sent.weight * sent.mean[j] }
      }
    }
    let first = chunk.tokens.lowerBound
    return [SentVectors.Part(tokens: first + places.lowerBound..<first + places.upperBound, values: values)]
  }
}
