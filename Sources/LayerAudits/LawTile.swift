import LayerTensors
import RoutingCore
import RoutingEstimators

/// Some tokens of a chunk under one law.
///
/// A token's events come all at once, or, where two draws have too many of them, after some first draws at a time; what was found
/// is put together in a ``TokenTally``, so that memory is bounded whatever the number of experts.
struct LawTile {
  let pass: LawPass
  private let chunk: TokenChunk
  private let places: Range<Int>
  private var tokens: [Token] = []
  private var tallies: [TokenTally] = []
  /// The events at hand of each token.
  private var events: [Events] = []
  /// `G'` of those, `[events, outputs]`, or, of a mean, what each expert is sent, `[tokens, experts, outputs]`; nothing of laws that
  /// come back to them.
  private var gradients: [Double] = []
  /// The inputs' gradients, but for the path through the router, `[paths, inputs]`.
  private var paths: [Double] = []
  /// Whether there are events at hand.
  private var isAtWork = false
  /// Why the law does not exist here.
  private var failure: Unavailable?

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

  /// Whether the gradients of its events are found one first draw at a time after experts were asked, as pairs are too many to
  /// keep theirs.
  var comesBack: Bool { pass.comesBack }

  init(_ pass: LawPass, _ chunk: TokenChunk, _ places: Range<Int>) {
    self.pass = pass
    self.chunk = chunk
    self.places = places
    tallies = places.map { _ in TokenTally(pass.context.shape, subjects: pass.subjects.count) }
    do {
      for place in places { tokens.append(try token(at: place)) }
    } catch { failure = error }
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

  // MARK: - Before experts are asked

  /// Takes the events after some first draws; those that are no pairs all come with the first part.
  mutating func begin(_ part: Range<Int>) {
    isAtWork = failure == nil && (pass.law.isOfPairs || part.lowerBound == 0)
    guard isAtWork else { return }
    do { events = try eventLists(part) } catch {
      (failure, isAtWork) = (error, false)
      return
    }
    guard !comesBack else { return }
    (gradients, paths) = ([], [])
    for k in events.indices {
      let found = pass.isAveraged ? means(of: k) : gradients(of: k, 0..<events[k].list.count)
      gradients += found.gradients
      paths += found.paths
    }
  }

  /// The mean of what each expert is sent, `[experts, outputs]`, and of what the input gets past the experts.
  private mutating func means(of k: Int) -> (gradients: [Double], paths: [Double]) {
    let (e, list) = (shape.outputs, events[k].list)
    let scale = context.layer.parameters.scale.map { UnsafePointer($0.elements) }
    var means = [Double](repeating: 0, count: pass.goesThroughExperts ? shape.experts * e : 0)
    var path = [Double](repeating: 0, count: shape.inputs)
    for range in pass.law.isOfPairs ? list.byFirstSlot() : [0..<list.count] where !range.isEmpty {
      let (gradients, paths) = gradients(of: k, range)
      guard pass.goesThroughExperts else { continue }
      for j in path.indices { path[j] += paths[j] }
      gradients.withUnsafeBufferPointer { gradients in
        means.withUnsafeMutableBufferPointer { means in
          guard let gradients = gradients.baseAddress, let means = means.baseAddress else { return }
          for slot in list.slots(of: range) where !slot.isStandIn {
            let weight = list.events[slot.event].probability * slot.backward
            Double.addScaled(
              gradients + (slot.event - range.lowerBound) * e, factor: weight, scale: scale,
              to: means + slot.expert * e, count: e)
          }
        }
      }
    }
    return (means, path)
  }

  private func eventLists(_ part: Range<Int>) throws(Unavailable) -> [Events] {
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
        Events(
          token: token, list: list, slots: list.slotsByExpert(shape.experts), first: first, path: path))
      first += list.count
      path += pass.isAveraged ? 1 : list.count
    }
    return lists
  }

  /// `G'` of some events of the k-th token, `[events, outputs]`, and what the input gets past the experts, `[paths, inputs]`.
  private mutating func gradients(of k: Int, _ range: Range<Int>) -> (gradients: [Double], paths: [Double]) {
    let own = events[k]
    var paths = [Double](repeating: 0, count: (pass.isAveraged ? 1 : range.count) * shape.inputs)
    let (found, scale) = lossGradients(own, range)
    guard pass.goesThroughExperts, !range.isEmpty else { return (found, paths) }
    if let scale { tallies[k].addScale(scale) }
    if context.layer.residual { addResidual(own, range, found, &paths) }
    if let shared = context.shared { addShared(shared, own, range, found, &paths) }
    return (found, paths)
  }

  /// `G'(y)` of some events, `[events, outputs]`, and the moments of what the scale gets.
  private func lossGradients(_ events: Events, _ range: Range<Int>) -> (gradients: [Double], scale: WeightedMoments?) {
    let (e, loss) = (shape.outputs, context.losses[events.token.index])
    let scale = context.layer.parameters.scale.map { UnsafePointer($0.elements) }
    // Of affine gradients these are the points themselves, that begin with the constant.
    let affine = loss.affineGradient
    var points = [Double]()
    if let affine {
      points.reserveCapacity(range.count * e)
      for _ in range { points += affine.constant }
    } else {
      points = [Double](repeating: 0, count: range.count * e)
    }
    // Σ backward f, which the scale multiplies.
    var mixtures = [Double](repeating: 0, count: scale == nil ? 0 : range.count * e)
    context.outputs[events.token.index].elements.withUnsafeBufferPointer { outputs in
      points.withUnsafeMutableBufferPointer { points in
        mixtures.withUnsafeMutableBufferPointer { mixtures in
          guard let outputs = outputs.baseAddress, let points = points.baseAddress else { return }
          for slot in events.list.slots(of: range) {
            let output =
              slot.isStandIn
              ? context.layer.standIns.map { UnsafePointer($0.row(slot.expert)) } : outputs + slot.expert * e
            guard let output else { continue }
            let (row, forward) = ((slot.event - range.lowerBound) * e, (affine?.slope ?? 1) * slot.forward)
            if forward != 0 { Double.addScaled(output, factor: forward, scale: scale, to: points + row, count: e) }
            guard let mixtures = mixtures.baseAddress, scale != nil else { continue }
            Double.addScaled(output, factor: slot.backward, scale: nil, to: mixtures + row, count: e)
          }
        }
      }
    }
    let gradients = affine == nil ? loss.evaluate(points, count: range.count).gradients : points
    guard scale != nil else { return (gradients, nil) }
    for k in mixtures.indices { mixtures[k] *= gradients[k] }
    return (gradients, moments(of: mixtures, width: e, events.list, range))
  }

  /// The moments over some events of vectors, `[events, width]`.
  private func moments(
    of rows: [Double], width: Int, _ events: ForwardEvents, _ range: Range<Int>
  ) -> WeightedMoments {
    WeightedMoments(rows, count: range.count, width: width, total: pass.weight(of: events, range)) {
      events.events[range.lowerBound + $0].probability
    }
  }

  /// What the inputs get through the residual.
  private func addResidual(
    _ events: Events, _ range: Range<Int>, _ gradients: [Double], _ paths: inout [Double]
  ) {
    let d = shape.inputs
    for (k, event) in events.list.events[range].enumerated() {
      let row = (pass.isAveraged ? 0 : k) * d
      let weight = pass.isAveraged ? event.probability : 1
      for j in 0..<d { paths[row + j] += weight * gradients[k * d + j] }
    }
  }

  /// What the inputs get through the shared experts.
  private func addShared(
    _ shared: SharedExperts, _ events: Events, _ range: Range<Int>, _ gradients: [Double],
    _ paths: inout [Double]
  ) {
    let (d, e, token) = (shape.inputs, shape.outputs, events.token.index)
    var rows = gradients
    if pass.isAveraged {
      rows = [Double](repeating: 0, count: e)
      for (k, event) in events.list.events[range].enumerated() {
        for j in 0..<e { rows[j] += event.probability * gradients[k * e + j] }
      }
    }
    var found = [Double](repeating: 0, count: rows.count / e * d)
    shared.addPaths(rows, tokens: token..<token + 1, token: { _ in token }, to: &found)
    for k in found.indices { paths[k] += found[k] }
  }

  // MARK: - Experts

  /// Collects what an expert is sent.
  ///
  /// - Parameter law: the place of the law in the tile.
  func collect(at law: Int, into rows: inout SentRows) {
    guard isAtWork, pass.goesThroughExperts else { return }
    gradients.withUnsafeBufferPointer { gradients in
      for (k, own) in events.enumerated() {
        let first = pass.isAveraged ? k * shape.experts : own.first
        rows.add(
          law: law, token: k, events: own,
          gradients: comesBack ? nil : gradients.baseAddress.map { $0 + first * shape.outputs }, pass)
      }
    }
  }

  /// Adds what became of a token's v at the hidden units and, `[rows, inputs]`, at the input of an expert.
  mutating func add(
    _ group: SentRows.Group, of rows: SentRows, _ units: BackwardUnits, inputs: UnsafePointer<Double>, expert i: Int
  ) {
    let d = shape.inputs
    if !comesBack {
      let first = events[group.token].path * d
      paths.withUnsafeMutableBufferPointer { paths in
        guard let paths = paths.baseAddress else { return }
        rows.add(group, inputs, length: d, to: paths + first)
      }
    }
    guard group.share > 0 else { return }
    let sent = rows.sentMoments(of: group)
    if pass.isAveraged {
      tallies[group.token].addMean(sent.mean, expert: i)
    } else {
      tallies[group.token].add(
        sent: sent, units: rows.moments(of: group, units.values, length: units.width), expert: i)
    }
  }

  // MARK: - After experts were asked

  /// Adds up what the inputs' gradients are needed for.
  ///
  /// - Parameter inputs: what became of the spans, expert by expert.
  mutating func end(_ inputs: [SpannedInputs]) {
    guard isAtWork else { return }
    do {
      for k in events.indices {
        if comesBack { try comeBack(to: k, inputs) } else { try finish(k) }
      }
    } catch { failure = error }
  }

  private mutating func finish(_ k: Int) throws(Unavailable) {
    let (d, e, own) = (shape.inputs, shape.outputs, events[k])
    if pass.isAveraged { tallies[k].addMeanPath(paths[own.path * d..<(own.path + 1) * d]) }
    guard pass.subjects.contains(where: \.isOfPairs) else { return }
    try addPairs(
      k, 0..<own.list.count, Array(gradients[own.first * e..<(own.first + own.list.count) * e]),
      Array(paths[own.path * d..<(own.path + own.list.count) * d]))
  }

  /// Finds the moments of the gradients of the k-th token's events after one first draw at a time.
  private mutating func comeBack(to k: Int, _ inputs: [SpannedInputs]) throws(Unavailable) {
    let (own, isAsked) = (events[k], pass.subjects.contains(where: \.isOfPairs))
    guard let pairs = own.token.pairs, isAsked || context.layer.parameters.scale != nil else { return }
    let slopes = PairSlopes(own.token.problem, context.losses[own.token.index])
    let paths = PairPaths(pass, own, pairs, chunk, inputs, at: k)
    for range in own.list.byFirstSlot() {
      var gradients: [Double] = []
      if slopes == nil || (pass.goesThroughExperts && context.layer.parameters.scale != nil) {
        let found = lossGradients(own, range)
        if pass.goesThroughExperts, let scale = found.scale { tallies[k].addScale(scale) }
        gradients = found.gradients
      }
      guard isAsked else { continue }
      let found =
        if let slopes {
          PairGradients(own.token.problem, pairs, own.list, range, slope: slopes.slope(_:along:))
        } else {
          try PairGradients(own.token.problem, pairs, own.list, range, gradients: gradients)
        }
      tally(k, found, input: paths.moments(found, range, weight: pass.weight(of: own.list, range)))
    }
  }

  /// The moments of the gradients of estimators of pairs.
  ///
  /// - Parameters:
  ///   - gradients: of some events of the k-th token, `[events, outputs]`.
  ///   - paths: `[events, inputs]`.
  private mutating func addPairs(
    _ k: Int, _ range: Range<Int>, _ gradients: [Double], _ paths: [Double]
  ) throws(Unavailable) {
    let own = events[k]
    guard let pairs = own.token.pairs else { return }
    let found = try PairGradients(own.token.problem, pairs, own.list, range, gradients: gradients)
    var rows = paths
    found.addPaths(
      to: &rows, own.list, pairs, scores: chunk.scores[own.token.place], router: context.layer.parameters.router)
    tally(k, found, input: moments(of: rows, width: shape.inputs, own.list, range))
  }

  /// Adds to the tally of the k-th token's pairs, the same for all estimators of them.
  private mutating func tally(_ k: Int, _ found: PairGradients, input: WeightedMoments) {
    for s in pass.subjects.indices where pass.subjects[s].isOfPairs {
      tallies[k].addPairs(RouterFigures(router: found.moments, input: input), subject: s)
    }
  }

  // MARK: - Sums

  /// Adds what was found of the tokens.
  func add(to found: inout LawPass.Found) {
    if let failure {
      for s in found.subjects.indices { found.subjects[s].unavailable = failure }
      return
    }
    for (k, own) in events.enumerated() {
      for s in pass.subjects.indices {
        let figures: Result<RouterFigures, Unavailable> =
          if let pair = tallies[k].pairs[s] { .success(pair) } else {
            Result(pass.subjects[s], own.token, chunk, pass, paths: paths, first: own.path, tallies[k].meanPath)
          }
        found.subjects[s].add(figures, token: own.token.index, pass)
      }
      if pass.goesThroughExperts { addVariances(tallies[k], own, to: &found) }
    }
    found.sent += sentRows()
  }

  /// The variances of the gradients by a token's experts and by the scale.
  ///
  /// With s the probability that the expert is sent anything, μ its mean then and δ the deviations from it,
  /// `tr Cov = Σ_o p_o ‖G(δ_o)‖² + s(1 − s) ‖G(μ)‖²`, where `‖G(v)‖² = ‖v‖² (‖a‖² + [b₂]) + ‖u‖² (‖x‖² + [b₁])` for the outer products of v
  /// with the activations a and of u = W₂ᵀv ⊙ act' with x; of gated experts u has the gradients behind both maps of x, one after the other.
  private func addVariances(_ tally: TokenTally, _ events: Events, to found: inout LawPass.Found) {
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
  private func sentRows() -> [SentVectors.Part] {
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
