import RoutingCore
import RoutingEstimators

// Those who are told exact means.

extension AuditRun {
  /// Who is told the experts' means, for all estimators of a law that are available.
  func writer(of estimators: [any GradientEstimator], _ found: LawPass.Found) -> MeanWriter? {
    expertWriter(
      onMean, estimators.indices.filter { found.subjects[$0].unavailable == nil }.map { estimators[$0].specification })
  }
}

/// Who is told the experts' means of some estimators at once.
func expertWriter(_ onMean: MeanWriter?, _ labels: [String]) -> MeanWriter? {
  guard let onMean else { return nil }
  return { name, first, values in
    for label in labels { onMean("\(label)/\(name)", first, values) }
  }
}
