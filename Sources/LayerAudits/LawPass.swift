import LayerTensors
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// What is to be found, token by token, of all subjects that share a forward law.
///
/// First by tiles of tokens: everything that is a sum over tokens of something of their own (variances, the inputs'
/// gradients), and the means of v that experts are sent. Then expert by expert (``ExpertPass``): the means of the weights'
/// gradients, two matrix products each, which are compared with the target's and forgotten.
struct LawPass: Sendable {
  let context: AuditContext
  let law: ForwardLaw
  let subjects: [Subject]
  /// Whether experts, scale and their inputs are asked for; else the inputs' gradient is that of the path through the router
  /// alone.
  let goesThroughExperts: Bool
  /// What to compare the inputs' gradients with.
  let reference: MeanGradient?

  init(
    _ context: AuditContext, _ law: ForwardLaw, _ subjects: [Subject], goesThroughExperts: Bool = true,
    reference: MeanGradient? = nil
  ) {
    self.context = context
    self.law = law
    self.subjects = subjects
    self.goesThroughExperts = goesThroughExperts
    self.reference = reference
  }

  /// Whether means are all that there is to find: of expectations, and of targets.
  var isAveraged: Bool { law.isAveraged || subjects.allSatisfy(\.isTarget) }

  /// Whether anything is asked of the events themselves.
  var needsEvents: Bool { goesThroughExperts || subjects.contains(where: \.isOfPairs) }

  /// What was found of a subject; sums over tokens of the tokens' own.
  struct SubjectFound: Sendable {
    var routerVariance = 0.0
    var routerWeightVariance = 0.0
    var input = GroupSums()
    var inputVariance = 0.0
    var mean = MeanGradient()
    var unavailable: Unavailable?

    /// Adds a token, the next one.
    mutating func add(_ figures: Result<RouterFigures, Unavailable>, token: Int, _ pass: LawPass) {
      switch figures {
      case .failure(let reason): unavailable = reason
      case .success(let figures):
        let d = pass.context.shape.inputs
        routerVariance += figures.router.variance
        routerWeightVariance += figures.router.variance * pass.context.inputSquares[token]
        inputVariance += figures.input.variance
        mean.logits += figures.router.mean
        mean.input += figures.input.mean
        input.add(figures.input.mean, pass.reference.map { $0.input[token * d..<(token + 1) * d] })
      }
    }

    mutating func add(_ other: SubjectFound) {
      routerVariance += other.routerVariance
      routerWeightVariance += other.routerWeightVariance
      input.add(other.input)
      inputVariance += other.inputVariance
      mean.logits += other.mean.logits
      mean.input += other.mean.input
      unavailable = unavailable ?? other.unavailable
    }
  }

  /// What was found of some tokens; that of the next ones can be added.
  struct Found: Sendable {
    var subjects: [SubjectFound]
    var expertsVariance = 0.0
    var scaleVariance = 0.0
    var scaleMean: [Double]
    var sent: [SentVectors.Part] = []

    init(_ pass: LawPass) {
      subjects = pass.subjects.map { _ in SubjectFound() }
      scaleMean = [Double](repeating: 0, count: pass.context.shape.outputs)
    }

    mutating func add(_ other: Found) {
      expertsVariance += other.expertsVariance
      scaleVariance += other.scaleVariance
      for j in scaleMean.indices { scaleMean[j] += other.scaleMean[j] }
      for s in subjects.indices { subjects[s].add(other.subjects[s]) }
      sent += other.sent
    }

    /// Whether there is anything to ask experts for.
    var isAvailable: Bool { subjects.contains { $0.unavailable == nil } }
  }

  /// Runs passes side by side over the tokens, so that the experts' hidden units are computed once for all of them.
  ///
  /// - Parameters:
  ///   - passes: each after the one whose means it is compared with.
  ///   - onChunk: called after each of ``chunks(_:)``, from any thread.
  static func run(_ passes: [LawPass], _ context: AuditContext, onChunk: @Sendable () -> Void) -> [Found] {
    let chunks = chunks(context)
    let room = TileRoom(passes, context)
    let parts = parallelMap(0..<chunks.count, threads: context.threads) { k in
      defer { onChunk() }
      let tokens = TokenChunk(context, chunks[k], hidden: passes.contains { $0.goesThroughExperts })
      var found = passes.map(Found.init)
      for tile in AuditContext.tiles(tokens.tokens.count, of: room.tileSize) {
        TokenTile(context, tokens, tile, room).add(passes, to: &found)
      }
      return found
    }
    return passes.indices.map { p in
      var total = Found(passes[p])
      for part in parts { total.add(part[p]) }
      return total
    }
  }

  /// The tokens that are worked on together: a sixteenth of all, at most 64, and no more than their hidden units take 32 MB.
  static func chunks(_ context: AuditContext) -> [Range<Int>] {
    let room = 2_000_000 / (context.shape.experts * context.shape.hidden)
    return AuditContext.tiles(context.tokens, of: max(1, min(64, room, context.tokens / 16)))
  }
}

// MARK: - Events

extension LawPass {
  /// Whether what experts are sent is put together from a ``SentSpan``: where the loss's gradient is affine and that takes fewer
  /// vectors than to send every event's, or one more where other laws share them.
  var isSpanned: Bool {
    guard !isAveraged, let slope = context.layer.loss.slope else { return false }
    let (n, e) = (context.shape.experts, context.shape.outputs)
    // Outputs that stand-ins take part in are no combinations of the experts'.
    if case .standIns = law, slope != 0 { return false }
    let size = slope == 0 ? 1 : n + 1
    return size <= e && size <= law.size(experts: n).slots + 1
  }

  /// Whether what an expert is sent is put together from the outputs of all that take part in any event.
  var spansAll: Bool {
    isSpanned && context.layer.loss.slope != 0
      && law.size(experts: context.shape.experts).slots >= context.shape.experts
  }

  /// Whether the gradients of its events are found after experts were asked.
  var comesBack: Bool { isSpanned && law.isOfPairs }

  /// The probability of some events: 1 if those are all.
  func weight(of events: ForwardEvents, _ range: Range<Int>) -> Double {
    law.isOfPairs ? events.events[range].reduce(0) { $0 + $1.probability } : 1
  }
}
