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
  let groups: [ParameterGroup]
  private let progress: AuditProgress
  /// The laws of the estimators, each with the estimators that share it.
  private let laws: [(law: ForwardLaw, members: [Int])]
  private(set) var targets: [(target: GradientTarget, norms: [ParameterGroup: Double])] = []
  private(set) var entries: [LayerAudit.Entry] = []

  init(
    _ context: AuditContext, _ options: LayerAudit.Options, _ onMean: MeanWriter?,
    _ onProgress: @escaping @Sendable (Int, Int) -> Void
  ) {
    self.context = context
    self.options = options
    self.onMean = onMean
    let shape = context.shape
    groups = ParameterGroup.allCases.filter {
      switch $0 {
      case .routerBias: shape.routerBias
      case .scale: shape.scale
      default: true
      }
    }
    // Estimators of one and of two draws are held against different targets.
    var laws: [(law: ForwardLaw, members: [Int])] = []
    for (k, estimator) in options.estimators.enumerated() where estimator is any FiniteOutcomeEstimator {
      let law = ForwardLaw(of: estimator)
      let place = laws.firstIndex {
        $0.law == law && options.estimators[$0.members[0]].claims.draws == estimator.claims.draws
      }
      if let place { laws[place].members.append(k) } else { laws.append((law, [k])) }
    }
    self.laws = laws
    progress = AuditProgress(onProgress)
  }

  mutating func run() {
    let hasPairs = options.estimators.contains { $0.claims.draws == 2 }
    let batches = AuditContext.tiles(laws.count, of: lawsPerBatch)
    progress.expect((1 + batches.count) * (LawPass.chunks(context).count + context.shape.experts))
    let references = findTargets(hasPairs: hasPairs)
    var found: [Int: LayerAudit.Entry] = [:]
    for batch in batches {
      for (k, entry) in audit(Array(laws[batch]), against: references) { found[k] = entry }
    }
    entries = options.estimators.enumerated().map { k, estimator in
      found[k]
        ?? LayerAudit.Entry(estimator: estimator, result: .failure(Unavailable("has no finite list of outcomes")))
    }
  }

  /// So many laws that the vectors which they send to experts take at most 256 MB.
  private var lawsPerBatch: Int {
    max(1, 32_000_000 / (context.shape.experts * context.tokens * context.shape.outputs))
  }

  /// Whether the target is one of the router alone.
  private static func isRouterOnly(_ target: GradientTarget) -> Bool {
    [.routingTerm, .gatingTerm].contains(target)
  }

  // MARK: - Targets

  /// Finds the norms of all targets, and gives the one that estimators are held against, by the number of draws.
  private mutating func findTargets(hasPairs: Bool) -> [Int: MeanGradient] {
    func pass(_ target: GradientTarget, draws: Int) -> LawPass {
      let law: ForwardLaw =
        switch target {
        case .expectedLoss, .routingTerm, .gatingTerm: draws == 1 ? .expected : .expectedPairs
        case .denseMixture: .denseMixture
        case .denseBackward: .denseBackward
        }
      return LawPass(
        context, law, [.target(target, draws: draws)], isRouterOnly: Self.isRouterOnly(target))
    }
    var passes = GradientTarget.allCases.map { pass($0, draws: 1) }
    if hasPairs { passes.append(pass(options.target, draws: 2)) }
    let sums = LawPass.run(passes, context, onChunk: progress.advance)
    var experts: [ExpertPass] = []
    var owners: [Int] = []
    var references: [Int: MeanGradient] = [:]
    for (p, pass) in passes.enumerated() where sums[p].subjects[0].unavailable == nil {
      let draws = p < GradientTarget.allCases.count ? 1 : 2
      let isReference = draws == 2 || GradientTarget.allCases[p] == options.target
      if isReference { references[draws] = pass.means[0] }
      guard let sent = pass.sent else { continue }
      let kept = isReference ? LayerParameters<Double>(zeros: context.shape) : nil
      if let scale = kept?.scale { for (j, value) in sums[p].scaleMean.enumerated() { scale.elements[j] = value } }
      pass.means[0].parameters = kept
      experts.append(ExpertPass(context: context, sent: sent, reference: nil, kept: kept, writer: nil))
      owners.append(p)
    }
    let expertSums = ExpertPass.run(experts, context, onExpert: progress.advance)
    for (p, target) in GradientTarget.allCases.enumerated() {
      guard sums[p].subjects[0].unavailable == nil else {
        targets.append((target, [:]))
        continue
      }
      let factor = 1 / Double(context.tokens)
      var norms: [ParameterGroup: Double] = [:]
      for (group, found) in routerSums(passes[p].means[0], nil) { norms[group] = factor * found.mean.squareRoot() }
      norms[.input] = factor * sums[p].subjects[0].input.mean.squareRoot()
      if let place = owners.firstIndex(of: p) {
        norms[.experts] = factor * expertSums[place].mean.squareRoot()
        if context.shape.scale {
          norms[.scale] = factor * sums[p].scaleMean.reduce(0) { $0 + $1 * $1 }.squareRoot()
        }
      }
      targets.append((target, norms))
    }
    return references
  }

  // MARK: - Estimators

  /// The entries of the estimators of some laws, by their places.
  private func audit(
    _ laws: [(law: ForwardLaw, members: [Int])], against references: [Int: MeanGradient]
  ) -> [(Int, LayerAudit.Entry)] {
    let isRouterOnly = Self.isRouterOnly(options.target)
    let estimators = laws.map { $0.members.map { options.estimators[$0] } }
    let targets = estimators.map { references[$0[0].claims.draws] }
    // Against a target of the router alone, the inputs' gradient is that of its path through the router.
    func passes(isRouterOnly: Bool) -> [LawPass] {
      laws.indices.map { k in
        LawPass(
          context, laws[k].law, estimators[k].map { .estimator($0) }, isRouterOnly: isRouterOnly, reference: targets[k])
      }
    }
    let main = passes(isRouterOnly: false)
    let all = main + (isRouterOnly ? passes(isRouterOnly: true) : [])
    let sums = LawPass.run(all, context, onChunk: progress.advance)
    let expertSums = ExpertPass.run(
      main.indices.map { k in
        ExpertPass(
          context: context, sent: main[k].sent ?? Tensor(rows: 0, columns: 0), reference: targets[k]?.parameters,
          kept: nil, writer: writer(of: estimators[k], sums[k]))
      }, context, onExpert: progress.advance)
    return laws.indices.flatMap { k in
      laws[k].members.indices.map { s in
        if let reason = sums[k].subjects[s].unavailable {
          return (laws[k].members[s], LayerAudit.Entry(estimator: estimators[k][s], result: .failure(reason)))
        }
        let scaleMean = sums[k].scaleMean
        write(estimators[k][s], main[k].means[s], scale: scaleMean)
        let figures = figures(
          of: estimators[k][s], sums[k], own: sums[k].subjects[s], experts: expertSums[k],
          input: isRouterOnly ? sums[laws.count + k].subjects[s] : sums[k].subjects[s],
          router: routerSums(main[k].means[s], targets[k]), scaleTarget: targets[k]?.parameters?.scale)
        return (laws[k].members[s], LayerAudit.Entry(estimator: estimators[k][s], result: .success(figures)))
      }
    }
  }

  /// Sums over tokens as figures of the mean over them.
  private func figures(
    of estimator: any GradientEstimator, _ law: LawPass.Sums, own: LawPass.SubjectSums, experts: GroupSums,
    input: LawPass.SubjectSums, router: [(ParameterGroup, GroupSums)], scaleTarget: Tensor<Double>?
  ) -> [ParameterGroup: GroupFigures] {
    let square = 1 / (Double(context.tokens) * Double(context.tokens))
    var figures: [ParameterGroup: GroupFigures] = [:]
    func add(_ group: ParameterGroup, _ found: GroupSums, variance: Double) {
      figures[group] = GroupFigures(found.scaled(by: square), totalVariance: variance * square)
    }
    for (group, found) in router {
      add(group, found, variance: group == .routerBias ? own.routerVariance : own.routerWeightVariance)
    }
    // An average over K draws has a K-th of the variance of one.
    var draws = 1.0
    if let reinforce = estimator as? Reinforce, case .leaveOneOut(let samples) = reinforce.baseline {
      draws = Double(samples)
    }
    add(.experts, experts, variance: law.expertsVariance / draws)
    if context.shape.scale {
      var sums = GroupSums()
      law.scaleMean.withUnsafeBufferPointer { mean in
        guard let mean = mean.baseAddress else { return }
        sums.add(mean, scaleTarget.map { UnsafePointer($0.elements) }, count: law.scaleMean.count)
      }
      add(.scale, sums, variance: law.scaleVariance / draws)
    }
    add(.input, input.input, variance: input.inputVariance)
    return figures
  }
}
