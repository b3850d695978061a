import RoutingCore
import RoutingEstimators

extension AuditRun {
  /// What estimators are held against.
  struct Reference {
    var mean: MeanGradient
    /// Of the scale, times T; nil for targets that are defined for the router alone.
    var scale: [Double]?
    /// What experts are sent; nil likewise. Their weights' gradients follow expert by expert, where they are compared.
    var sent: [SentVectors.Part]?
  }

  /// The norms of all targets, and what estimators are held against, by their draws.
  func targets() -> (norms: [(target: GradientTarget, norms: [ParameterGroup: Double])], references: [Draws: Reference])
  {
    var passes = GradientTarget.allCases.map { pass($0, draws: Draws()) }
    // Other draws than one, in the order of the estimators.
    var others: [Draws] = []
    for estimator in options.estimators where estimator.isEnumerable {
      let draws = Draws(estimator.claims)
      if draws != Draws(), !others.contains(draws) { others.append(draws) }
    }
    passes += others.map { pass(options.target, draws: $0) }
    let found = LawPass.run(passes, context, onChunk: progress.advance)
    let count = GradientTarget.allCases.count
    let experts = ExpertPass.run(
      passes.indices.map { p in
        ExpertPass(
          context: context,
          sent: p < count && passes[p].goesThroughExperts && found[p].isAvailable ? found[p].sent : nil)
      }, context, onExpert: progress.advance)
    var references: [Draws: Reference] = [:]
    for p in passes.indices where p >= count || GradientTarget.allCases[p] == options.target {
      guard found[p].isAvailable else { continue }
      let isWhole = passes[p].goesThroughExperts
      references[p < count ? Draws() : others[p - count]] = Reference(
        mean: found[p].subjects[0].mean, scale: isWhole ? found[p].scaleMean : nil, sent: isWhole ? found[p].sent : nil)
    }
    let norms = GradientTarget.allCases.enumerated().map { p, target in
      (target, found[p].isAvailable ? self.norms(passes[p], found[p], experts[p]) : [:])
    }
    return (norms, references)
  }

  private func pass(_ target: GradientTarget, draws: Draws) -> LawPass {
    let law: ForwardLaw =
      switch target {
      case .expectedLoss, .routingTerm, .gatingTerm:
        draws.subsets.map { .expectationOfSubsets($0) } ?? .expectation(draws: draws.count)
      case .denseMixture: .denseMixture
      case .denseBackward: .denseBackward
      }
    return LawPass(
      context, law, [.target(target, draws: draws)], goesThroughExperts: !Self.isRouterOnly(target))
  }

  private func norms(_ pass: LawPass, _ found: LawPass.Found, _ experts: GroupSums) -> [ParameterGroup: Double] {
    let factor = 1 / Double(context.tokens)
    var norms: [ParameterGroup: Double] = [:]
    for (group, sums) in RouterGradient.sums(found.subjects[0].mean.logits, against: nil, context.layer) {
      norms[group] = factor * sums.mean.squareRoot()
    }
    norms[.input] = factor * found.subjects[0].input.mean.squareRoot()
    guard pass.goesThroughExperts else { return norms }
    norms[.experts] = factor * experts.mean.squareRoot()
    if context.shape.scale { norms[.scale] = factor * squaredNorm(found.scaleMean).squareRoot() }
    return norms
  }
}
