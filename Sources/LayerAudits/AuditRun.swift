import LayerTensors
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// An audit under way.
///
/// Targets come first, then estimators in batches of forward laws: those of a batch go side by side over the tokens and
/// over the experts, so that the experts' hidden units are computed once for all of them. A batch is as large as memory
/// for the vectors that its laws send to experts allows.
struct AuditRun {
  let context: AuditContext
  let options: LayerAudit.Options
  let onMean: MeanWriter?
  let progress: AuditProgress
  /// The laws of the estimators.
  private let batches: [[SharedLaw]]

  /// A law with the estimators that share it.
  private struct SharedLaw {
    let law: ForwardLaw
    /// How experts are drawn, on which it depends what estimators are held against.
    let draws: Draws
    /// Their places among the estimators.
    var members: [Int]
  }

  init(
    _ context: AuditContext, _ options: LayerAudit.Options, _ onMean: MeanWriter?,
    _ onProgress: @escaping @Sendable (Int, Int) -> Void
  ) {
    self.context = context
    self.options = options
    self.onMean = onMean
    let shape = context.shape
    let laws = Self.laws(of: options.estimators, context)
    // So many laws that the vectors which they send to experts take at most 384 MB.
    let lawsPerBatch = max(1, 48_000_000 / (shape.experts * context.tokens * shape.outputs))
    batches = AuditContext.tiles(laws.count, of: lawsPerBatch).map { Array(laws[$0]) }
    progress = AuditProgress(onProgress, steps: (1 + batches.count) * (LawPass.chunks(context).count + shape.experts))
  }

  /// Those whose vectors are put together from the same span come first, so that they are in the same batch.
  private static func laws(of estimators: [any GradientEstimator], _ context: AuditContext) -> [SharedLaw] {
    var laws: [SharedLaw] = []
    for (k, estimator) in estimators.enumerated() {
      guard case .finite(let finite) = estimator.randomness else { continue }
      var law = finite.forwardLaw
      // Pairs whose gradients follow from no rule are listed.
      if case .pair = law, !(finite is any PairRuleEstimator) { law = .outcomes(of: finite.specification) }
      let draws = Draws(estimator.claims)
      if let place = laws.firstIndex(where: { $0.law == law && $0.draws == draws }) {
        laws[place].members.append(k)
      } else {
        laws.append(SharedLaw(law: law, draws: draws, members: [k]))
      }
    }
    let isSpanned = laws.map { law in
      LawPass(context, law.law, law.members.map { .estimator(estimators[$0]) }).isSpanned
    }
    return laws.indices.filter { isSpanned[$0] }.map { laws[$0] }
      + laws.indices.filter { !isSpanned[$0] }.map { laws[$0] }
  }

  /// Whether the target is one of the router alone.
  static func isRouterOnly(_ target: GradientTarget) -> Bool { [.routingTerm, .gatingTerm].contains(target) }

  /// What every estimator comes to, held against references by their draws.
  func entries(against references: [Draws: Reference]) -> [LayerAudit.Entry] {
    var found: [Int: Result<[ParameterGroup: GroupFigures], Unavailable>] = [:]
    for batch in batches { found.merge(audit(batch, against: references)) { $1 } }
    return options.estimators.enumerated().map { k, estimator in
      LayerAudit.Entry(
        estimator: estimator, result: found[k] ?? .failure(Unavailable("has no finite list of outcomes")))
    }
  }

  /// The figures of the estimators of some laws, by their places.
  private func audit(
    _ laws: [SharedLaw], against references: [Draws: Reference]
  ) -> [Int: Result<[ParameterGroup: GroupFigures], Unavailable>] {
    let isRouterOnly = Self.isRouterOnly(options.target)
    let estimators = laws.map { $0.members.map { options.estimators[$0] } }
    // Against a target of the router alone, the inputs' gradient is that of its path through the router.
    func passes(goThroughExperts: Bool) -> [LawPass] {
      laws.indices.map { k in
        LawPass(
          context, laws[k].law, estimators[k].map { .estimator($0) }, goesThroughExperts: goThroughExperts,
          reference: references[laws[k].draws]?.mean)
      }
    }
    let main = passes(goThroughExperts: true)
    let all = main + (isRouterOnly ? passes(goThroughExperts: false) : [])
    let found = LawPass.run(all, context, onChunk: progress.advance)
    let held = Array(references.keys)
    let experts = ExpertPass.run(
      main.indices.map { k in
        let place = held.firstIndex(of: laws[k].draws).flatMap { references[held[$0]]?.sent == nil ? nil : $0 }
        return ExpertPass(
          context: context, sent: found[k].isAvailable ? found[k].sent : nil,
          reference: place.map { main.count + $0 }, writer: writer(of: estimators[k], found[k]))
      } + held.map { ExpertPass(context: context, sent: references[$0]?.sent) }, context, onExpert: progress.advance)
    var results: [Int: Result<[ParameterGroup: GroupFigures], Unavailable>] = [:]
    for k in laws.indices {
      for (s, member) in laws[k].members.enumerated() {
        if let reason = found[k].subjects[s].unavailable {
          results[member] = .failure(reason)
          continue
        }
        let mean = found[k].subjects[s].mean
        RouterGradient.tell(
          onMean, estimators[k][s].specification, logits: mean.logits, scale: found[k].scaleMean, input: mean.input,
          context.layer)
        results[member] = .success(
          figures(
            of: estimators[k][s], found[k], own: found[k].subjects[s],
            input: found[isRouterOnly ? laws.count + k : k].subjects[s], experts: experts[k],
            reference: references[laws[k].draws]))
      }
    }
    return results
  }

  /// Sums over tokens as figures of the mean over them.
  private func figures(
    of estimator: any GradientEstimator, _ law: LawPass.Found, own: LawPass.SubjectFound,
    input: LawPass.SubjectFound, experts: GroupSums, reference: Reference?
  ) -> [ParameterGroup: GroupFigures] {
    let square = 1 / (Double(context.tokens) * Double(context.tokens))
    var figures: [ParameterGroup: GroupFigures] = [:]
    func add(_ group: ParameterGroup, _ found: GroupSums, variance: Double) {
      figures[group] = GroupFigures(found.scaled(by: square), totalVariance: variance * square)
    }
    for (group, found) in RouterGradient.sums(own.mean.logits, against: reference?.mean.logits, context.layer) {
      add(group, found, variance: group == .routerBias ? own.routerVariance : own.routerWeightVariance)
    }
    // An average over K draws has a K-th of the variance of one.
    let draws = Double(estimator.claims.averagedDraws)
    add(.experts, experts, variance: law.expertsVariance / draws)
    if context.shape.scale {
      var sums = GroupSums()
      sums.add(law.scaleMean, reference?.scale?[...])
      add(.scale, sums, variance: law.scaleVariance / draws)
    }
    add(.input, input.input, variance: input.inputVariance)
    return figures
  }
}
