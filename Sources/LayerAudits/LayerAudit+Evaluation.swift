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
    tokens = layer.tokens
    experts = layer.shape.experts
    groups = ParameterGroup.groups(of: layer.shape)
    mask = options.mask
    target = options.target
    if layer.choosesExperts {
      guard options.mask == .none else {
        throw InvalidInput("mask", "expected none, as the router's specification says what it chooses from")
      }
      let audit = ChosenRun(try ChosenContext(layer, threads: options.threads), options, onMean, onProgress)
      (targets, entries) = audit.figures()
      expectedLoss = audit.loss
      swaps = audit.swaps
    } else {
      let context = try AuditContext(layer, options)
      let audit = AuditRun(context, options, onMean, onProgress)
      let (norms, references) = audit.targets()
      targets = norms
      entries = audit.entries(against: references)
      expectedLoss =
        context.problems.reduce(0) { $0 + ((try? $1.expectedLoss()) ?? .nan) } / Double(layer.tokens)
      swaps = nil
    }
    let areNormsFinite = targets.allSatisfy { $0.norms.values.allSatisfy(\.isFinite) }
    guard expectedLoss.isFinite, areNormsFinite, entries.allSatisfy(\.isFinite), swaps?.isFinite ?? true else {
      throw InvalidInput("", "expected gradients within Float64's range, they overflow")
    }
  }

  /// The tensors that `onMean` is told, with their shapes.
  package static func meanTensors(
    of layer: DumpedLayer, _ estimators: [any GradientEstimator]
  ) -> [(name: String, shape: [Int])] {
    let parts =
      layer.parameters.parts.filter { !$0.name.hasPrefix("shared.") }.map { ($0.name, $0.extents) }
      + [("input", [layer.tokens, layer.shape.inputs])]
    var names: Set<String> = []
    return estimators.filter { isAvailable($0, on: layer) && names.insert($0.specification).inserted }
      .flatMap { estimator in parts.map { ("\(estimator.specification)/\($0.0)", $0.1) } }
  }

  /// Whether an estimator exists for a layer, tried on a problem of nothing but zeros.
  private static func isAvailable(_ estimator: any GradientEstimator, on layer: DumpedLayer) -> Bool {
    if let router = layer.router, router.choice == .chosen {
      return (try? ChosenSubject(estimator, on: layer, router.specification)) != nil
    }
    let experts = layer.shape.experts
    guard
      let problem = try? RoutedProblem(
        .mixture(
          MixtureProblem(
            logits: [Double](repeating: 0, count: experts), expertOutputs: [[Double]](repeating: [0], count: experts),
            standIns: layer.standIns.map { _ in [[Double]](repeating: [0], count: experts) },
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
