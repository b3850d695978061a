import RoutingCore
import RoutingEstimators

extension AuditRun {
  /// The norms of all targets, and what estimators are held against, by the number of their draws.
  func targets() -> (
    norms: [(target: GradientTarget, norms: [ParameterGroup: Double])], references: [Int: MeanGradient]
  ) {
    var passes = GradientTarget.allCases.map { pass($0, draws: 1) }
    if options.estimators.contains(where: { $0.claims.draws == 2 }) { passes.append(pass(options.target, draws: 2)) }
    let found = LawPass.run(passes, context, onChunk: progress.advance)
    let references = passes.indices.map { p in
      p >= GradientTarget.allCases.count || GradientTarget.allCases[p] == options.target
    }
    let experts = ExpertPass.run(
      passes.indices.map { p in
        ExpertPass(
          context: context, sent: passes[p].goesThroughExperts && found[p].isAvailable ? found[p].sent : nil,
          reference: nil, isKept: references[p], writer: nil)
      }, context, onExpert: progress.advance)
    var held: [Int: MeanGradient] = [:]
    for p in passes.indices where references[p] && found[p].isAvailable {
      var mean = found[p].subjects[0].mean
      mean.parameters = experts[p].kept
      if let scale = mean.parameters?.scale {
        for (j, value) in found[p].scaleMean.enumerated() { scale.elements[j] = value }
      }
      held[p < GradientTarget.allCases.count ? 1 : 2] = mean
    }
    let norms = GradientTarget.allCases.enumerated().map { p, target in
      (target, found[p].isAvailable ? self.norms(passes[p], found[p], experts[p].sums) : [:])
    }
    return (norms, held)
  }

  private func pass(_ target: GradientTarget, draws: Int) -> LawPass {
    let law: ForwardLaw =
      switch target {
      case .expectedLoss, .routingTerm, .gatingTerm: .expectation(draws: draws)
      case .denseMixture: .denseMixture
      case .denseBackward: .denseBackward
      }
    return LawPass(
      context, law, [.target(target, draws: draws)], goesThroughExperts: !Self.isRouterOnly(target))
  }

  private func norms(_ pass: LawPass, _ found: LawPass.Found, _ experts: GroupSums) -> [ParameterGroup: Double] {
    let factor = 1 / Double(context.tokens)
    var norms: [ParameterGroup: Double] = [:]
    for (group, sums) in routerSums(found.subjects[0].mean, nil) { norms[group] = factor * sums.mean.squareRoot() }
    norms[.input] = factor * found.subjects[0].input.mean.squareRoot()
    guard pass.goesThroughExperts else { return norms }
    norms[.experts] = factor * experts.mean.squareRoot()
    if context.shape.scale { norms[.scale] = factor * squaredNorm(found.scaleMean).squareRoot() }
    return norms
  }
}
