import LayerTensors
import RoutingCore
import RoutingEstimators

// The router's gradients, and those who are told exact means.

extension AuditRun {
  /// `Σ_t ĝ_t ⊗ x_t` and `Σ_t ĝ_t` against the reference's.
  func routerSums(_ mean: MeanGradient, _ reference: MeanGradient?) -> [(ParameterGroup, GroupSums)] {
    let own = routerGradient(mean.logits)
    let other = reference.map { routerGradient($0.logits) }
    var weight = GroupSums()
    weight.add(own.weight, other?.weight[...])
    guard context.shape.routerBias else { return [(.routerWeight, weight)] }
    var bias = GroupSums()
    bias.add(own.bias, other?.bias[...])
    return [(.routerWeight, weight), (.routerBias, bias)]
  }

  /// `[experts, inputs]` and `[experts]`.
  private func routerGradient(_ logits: [Double]) -> (weight: [Double], bias: [Double]) {
    let (n, d) = (context.shape.experts, context.shape.inputs)
    var weight = [Double](repeating: 0, count: n * d)
    var bias = [Double](repeating: 0, count: n)
    MatrixFactor.multiply(
      .rows(logits, stride: n, transposed: true), .memory(context.layer.input.elements, stride: d),
      rows: n, columns: d, depth: context.tokens, into: &weight)
    Double.columnSums(logits, rows: context.tokens, columns: n, stride: n, into: &bias)
    return (weight, bias)
  }

  /// Who is told the experts' means, for all estimators of a law that are available.
  func writer(of estimators: [any GradientEstimator], _ found: LawPass.Found) -> MeanWriter? {
    guard let onMean else { return nil }
    let labels = estimators.indices.filter { found.subjects[$0].unavailable == nil }.map {
      estimators[$0].specification
    }
    return { name, first, values in
      for label in labels { onMean("\(label)/\(name)", first, values) }
    }
  }

  /// Tells the means of everything but the experts.
  func write(_ estimator: any GradientEstimator, _ mean: MeanGradient, scale: [Double]) {
    guard let onMean else { return }
    func tell(_ name: String, _ values: [Double]) {
      values.map { $0 / Double(context.tokens) }.withUnsafeBufferPointer {
        onMean("\(estimator.specification)/\(name)", 0, $0)
      }
    }
    let router = routerGradient(mean.logits)
    tell("router.weight", router.weight)
    if context.shape.routerBias { tell("router.bias", router.bias) }
    if context.shape.scale { tell("scale", scale) }
    tell("input", mean.input)
  }
}
