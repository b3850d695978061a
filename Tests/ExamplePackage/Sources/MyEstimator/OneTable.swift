import RouteGrad

/// One table: our estimators beside the library's.
public func oneTable() throws -> String {
  let problem = try MixtureProblem(
    name: "my-token", logits: [0.3, -1.2, 0.8], expertOutputs: [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]],
    loss: try LogCosh(scales: [1, 2], targets: [0.5, -0.5]))
  let report = try Report(
    [.mixture(problem)], estimators: [HeunPairs(), HeunPairs(factor: 0.5), BothSlopes(), ReinMax(), SparseMixer()])
  return report.rendered(as: .table)
}
