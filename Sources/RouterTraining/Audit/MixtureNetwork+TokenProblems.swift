import LayerTensors
import MixtureOfExperts
import RoutingCore

extension MixtureNetwork {
  /// Every token's own routing problem with the parameters as they are, and what the router reads, `[tokens][width]`.
  func tokenProblems(
    _ batch: MixtureTask.Batch
  ) throws(Refusal) -> (problems: [TokenProblem], inputs: [[Double]]) {
    let count = batch.inputs.count / MixtureTask.inputs
    let width = shape.width
    let copy = MixtureNetworkParameters<Double>(shape, students: router.studentRank)
    for (from, to) in zip(parameters.all, copy.all) { to.tensor.fill(from.tensor.values.map { Double($0) }) }
    let (u, h, inverses) = (
      Tensor<Double>(rows: count, columns: width), Tensor<Double>(rows: count, columns: width),
      Tensor<Double>(rows: count, columns: 1)
    )
    copy.input.forward(batch.inputs, rows: count, to: u.elements)
    LayerNorm.forward(u.elements, rows: count, width: width, to: h.elements, inverses: inverses.elements)
    // Every expert of every token.
    let layer = MixtureLayer<Double>(shape.layer, router: ExactRouter())
    let workspace = LayerWorkspace(layer, maximumTokens: count)
    try layer.forward(h.elements, tokens: count, parameters: copy.layer, workspace: workspace, randomness: nil)
    let logits = workspace.routerLogits
    let stands = Tensor<Double>(rows: count * shape.experts, columns: width)
    if case .students = router.contrast {
      copy.students?.outputs(h, workspace, scale: copy.layer.scale, count: count, top: false, to: stands)
    }
    let weights = Matrix(rows: rows(copy.head.weights), columns: width)
    let biases = copy.head.biases.values
    let problems = (0..<count).map { t in
      let loss = HeadLoss(
        kind: kind, residual: row(u, t), weights: weights, biases: biases,
        targets: kind == .regression
          ? Array(batch.targets[t * MixtureTask.outputs..<(t + 1) * MixtureTask.outputs]) : [],
        label: kind == .regression ? 0 : batch.labels[t])
      var problem = TokenProblem(
        logits: Array(logits[t * shape.experts..<(t + 1) * shape.experts]),
        directions: (0..<shape.experts).map { scaledOutput(workspace, t, $0, copy.layer.scale) }, loss: loss)
      switch router.contrast {
      case .null?: problem.contrasts = (0..<shape.experts).map { _ in loss.contrast(at: row(stands, t)) }
      case .students(let top)?:
        problem.contrasts = (0..<shape.experts).map { loss.contrast(at: row(stands, t * shape.experts + $0)) }
        problem.onlyTopContrast = top
      case .exact?, nil: break
      }
      return problem
    }
    return (problems, (0..<count).map { row(h, $0) })
  }

  /// `ω ⊙ f_i(h_t)`.
  private func scaledOutput(
    _ workspace: LayerWorkspace<Double>, _ t: Int, _ i: Int, _ scale: Tensor<Double>?
  ) -> [Double] {
    // An expert whose probability is 0 in Float64 has no output, and no part in anything.
    guard let output = workspace.expertOutput(token: t, slot: i) else {
      return [Double](repeating: 0, count: shape.width)
    }
    return (0..<shape.width).map { output[$0] * (scale?.elements[$0] ?? 1) }
  }

  private func row(_ tensor: Tensor<Double>, _ t: Int) -> [Double] {
    (0..<tensor.columns).map { tensor[t, $0] }
  }

  private func rows(_ tensor: Tensor<Double>) -> [[Double]] { (0..<tensor.rows).map { row(tensor, $0) } }
}
