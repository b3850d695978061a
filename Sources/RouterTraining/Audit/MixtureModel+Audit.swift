import MixtureOfExperts
import RoutingCore
import RoutingExpectations

extension MixtureModel {
  /// On ``MixtureSettings/audited`` held-out tokens, in Double, from the parameters as they are: the router's weights W, of which
  /// `Σ_t ĝ_t h_tᵀ/T` is the gradient. Tokens are routed independently, so their covariances add.
  ///
  /// The gradient is that of the task's loss, without load balancing, and the target the gradient of the expected loss where D is
  /// drawn from p (under the router's own mask), for routers that take an argmax as well.
  package func auditRouter(
    threads: Int, continuing: () -> Bool = { true }
  ) throws(Refusal) -> RouterAudit? {
    if case .unknown = router.law { return nil }
    let state = try network.tokenProblems(heldOut.prefix(settings.audited))
    let law = router.law
    let batch = settings.batch
    let found = parallelMap(0..<state.problems.count, threads: threads, while: continuing) { t, continuing in
      try? TokenGradient(state.problems[t], law: law, batch: batch, continuing: continuing)
    }
    guard let gradients = found else { throw AuditRequest.calledOff }
    let width = settings.width
    var (mean, target) = (
      [Double](repeating: 0, count: settings.experts * width), [Double](repeating: 0, count: settings.experts * width)
    )
    var variance = 0.0
    for (t, gradient) in gradients.enumerated() {
      guard let gradient else { return nil }
      let h = state.inputs[t]
      for i in 0..<settings.experts {
        for j in 0..<width {
          mean[i * width + j] += gradient.mean[i] * h[j]
          target[i * width + j] += gradient.target[i] * h[j]
        }
      }
      variance += gradient.totalVariance * h.reduce(0) { $0 + $1 * $1 }
    }
    return RouterAudit(mean: mean, target: target, totalVariance: variance, tokens: state.problems.count)
  }
}

extension MixtureModel {
  package func audit(_ request: AuditRequest, continuing: () -> Bool) throws(Refusal) -> ModelAudit? {
    try auditRouter(threads: request.threads, continuing: continuing).map { .router($0) }
  }
}

extension RouterAudit {
  /// - Parameters:
  ///   - mean: the sum over the tokens of the mean gradients.
  ///   - target: that of the exact ones.
  ///   - totalVariance: that of the variances.
  init?(mean: [Double], target: [Double], totalVariance: Double, tokens: Int) {
    func norm(_ x: [Double]) -> Double { x.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let targetNorm = norm(target)
    let meanNorm = norm(mean)
    guard targetNorm > 0, targetNorm.isFinite, meanNorm.isFinite, totalVariance.isFinite else { return nil }
    let product = zip(mean, target).reduce(0) { $0 + $1.0 * $1.1 }
    self.init(
      targetNorm: targetNorm / Double(tokens), relativeBias: norm(zip(mean, target).map { $0 - $1 }) / targetNorm,
      relativeDeviation: max(totalVariance, 0).squareRoot() / targetNorm,
      cosine: meanNorm > 0 ? min(max(product / meanNorm / targetNorm, -1), 1) : 0)
  }
}

extension MixtureTask.Batch {
  /// The first tokens.
  func prefix(_ count: Int) -> MixtureTask.Batch {
    MixtureTask.Batch(
      inputs: Array(inputs.prefix(count * MixtureTask.inputs)),
      targets: Array(targets.prefix(count * MixtureTask.outputs)),
      labels: Array(labels.prefix(count)))
  }
}
