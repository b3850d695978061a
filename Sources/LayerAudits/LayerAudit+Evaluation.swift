import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension LayerAudit {
  /// Audits a layer.
  ///
  /// - Parameters:
  ///   - layer: the layer.
  ///   - options: what to audit.
  ///   - onMean: told every estimator's exact mean, part by part, from any thread: `sparsemixer/experts.w1` and so on.
  ///   - onProgress: told now and then how much is done of how much, from any thread.
  /// - Throws: `InvalidInput` if a result overflows Float64.
  public init(
    _ layer: DumpedLayer, options: Options = Options(), onMean: MeanWriter? = nil,
    onProgress: @escaping @Sendable (_ done: Int, _ all: Int) -> Void = { _, _ in }
  ) throws(InvalidInput) {
    let context = try AuditContext(layer, options)
    let audit = AuditRun(context, options, onMean, onProgress)
    let (norms, references) = audit.targets()
    tokens = layer.tokens
    experts = layer.shape.experts
    groups = audit.groups
    mask = options.mask
    target = options.target
    targets = norms
    entries = audit.entries(against: references)
    expectedLoss =
      context.problems.reduce(0) { $0 + ((try? $1.expectedLoss()) ?? .nan) } / Double(layer.tokens)
    let areNormsFinite = targets.allSatisfy { $0.norms.values.allSatisfy(\.isFinite) }
    guard expectedLoss.isFinite, areNormsFinite, entries.allSatisfy(\.isFinite) else {
      throw InvalidInput("", "expected gradients within Float64's range, they overflow")
    }
  }

  /// The tensors that `onMean` is told, with their shapes.
  package static func meanTensors(
    of layer: DumpedLayer, _ estimators: [any GradientEstimator]
  ) -> [(name: String, shape: [Int])] {
    let shape = layer.shape
    let (n, d, h, e) = (shape.experts, shape.inputs, shape.hidden, shape.outputs)
    let extents: [String: [Int]] = [
      "router.weight": [n, d], "router.bias": [n], "experts.w1": [n, h, d], "experts.b1": [n, h],
      "experts.w2": [n, e, h], "experts.b2": [n, e], "scale": [e],
    ]
    let parts = layer.parameters.all.map { ($0.name, extents[$0.name] ?? []) } + [("input", [layer.tokens, d])]
    var names: Set<String> = []
    return estimators.filter { isAvailable($0, experts: n) && names.insert($0.specification).inserted }
      .flatMap { estimator in parts.map { ("\(estimator.specification)/\($0.0)", $0.1) } }
  }

  /// Whether an estimator exists for so many experts, tried on a problem of nothing but zeros.
  private static func isAvailable(_ estimator: any GradientEstimator, experts: Int) -> Bool {
    guard
      let problem = try? RoutedProblem(
        .mixture(
          MixtureProblem(
            logits: [Double](repeating: 0, count: experts), expertOutputs: [[Double]](repeating: [0], count: experts),
            loss: Linear(coefficients: [0]))))
    else { return false }
    return (try? estimator.finiteOutcomes(on: problem)) != nil
  }
}

extension LayerAudit.Entry {
  fileprivate var isFinite: Bool {
    guard case .success(let figures) = result else { return true }
    return figures.values.allSatisfy(\.isFinite)
  }
}
