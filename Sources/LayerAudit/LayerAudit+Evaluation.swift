import MixtureOfExperts
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
    let context = AuditContext(layer, space: options.space, threads: options.threads)
    var audit = Audit(context, options, onMean, onProgress)
    for t in 0..<layer.tokens {
      do { _ = try context.problem(t) } catch { throw error.inside("token \(t)") }
    }
    audit.run()
    tokens = layer.tokens
    experts = layer.shape.experts
    groups = audit.groups
    space = options.space
    target = options.target
    targets = audit.targets
    entries = audit.results
    var sum = 0.0
    for t in 0..<layer.tokens {
      sum += (try? context.problem(t).expectedLoss()) ?? .nan
    }
    expectedLoss = sum / Double(layer.tokens)
    guard expectedLoss.isFinite, entries.allSatisfy(\.isFinite) else {
      throw InvalidInput("", "expected gradients within Float64's range, they overflow")
    }
  }

  /// The tensors that `onMean` is told, with their shapes.
  public static func meanTensors(
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
    return figures.values.allSatisfy {
      $0.meanNorm.isFinite && $0.totalVariance.isFinite && ($0.biasNorm?.isFinite ?? true)
    }
  }
}

/// An audit under way.
private struct Audit {
  let context: AuditContext
  let options: LayerAudit.Options
  let onMean: MeanWriter?
  let progress: AuditProgress
  let groups: [ParameterGroup]
  private(set) var targets: [(target: GradientTarget, norms: [ParameterGroup: Double])] = []
  private(set) var results: [LayerAudit.Entry] = []
  /// The mean of v, used by one pass after another.
  private let sent: Tensor<Double>
  private let laws: [(law: ForwardLaw, members: [Int])]

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
    sent = Tensor(rows: shape.experts * context.tokens, columns: shape.outputs)
    var laws: [(law: ForwardLaw, members: [Int])] = []
    for (k, estimator) in options.estimators.enumerated() where estimator is any FiniteOutcomeEstimator {
      let law = ForwardLaw(of: estimator)
      if let place = laws.firstIndex(where: { $0.law == law }) {
        laws[place].members.append(k)
      } else {
        laws.append((law, [k]))
      }
    }
    self.laws = laws
    progress = AuditProgress(onProgress)
  }

  mutating func run() {
    let hasPairs = options.estimators.contains { $0.claims.draws == 2 }
    progress.expect(steps(hasPairs: hasPairs))
    var reference: MeanGradient?
    for target in GradientTarget.allCases {
      let (norms, mean) = targetPass(target, draws: 1)
      targets.append((target, norms ?? [:]))
      if target == options.target { reference = mean }
    }
    let pairReference = hasPairs ? targetPass(options.target, draws: 2).mean : nil
    var found: [Int: LayerAudit.Entry] = [:]
    for (law, members) in laws {
      for draws in [1, 2] {
        let own = members.filter { options.estimators[$0].claims.draws == draws }
        guard !own.isEmpty else { continue }
        for (k, entry) in zip(own, pass(law, own, against: draws == 1 ? reference : pairReference)) { found[k] = entry }
      }
    }
    results = options.estimators.enumerated().map { k, estimator in
      found[k]
        ?? LayerAudit.Entry(estimator: estimator, result: .failure(Unavailable("has no finite list of outcomes")))
    }
  }

  /// The law of a target; nil for those of the router alone.
  private static func law(of target: GradientTarget, draws: Int) -> ForwardLaw? {
    switch target {
    case .expectedLoss: draws == 1 ? .expected : .expectedPairs
    case .denseMixture: .denseMixture
    case .denseBackward: .denseBackward
    case .routingTerm, .gatingTerm: nil
    }
  }

  /// How many tiles of tokens and experts there are to do.
  private func steps(hasPairs: Bool) -> Int {
    func steps(_ law: ForwardLaw?, repeats: Int = 1) -> Int {
      let pass = LawPass(
        context: context, law: law ?? .expected, subjects: [], isRouterOnly: law == nil, reference: nil)
      return repeats * pass.tileCount + (law == nil ? 0 : context.shape.experts)
    }
    let repeats = Self.law(of: options.target, draws: 1) == nil ? 2 : 1
    let targets = GradientTarget.allCases.reduce(0) { $0 + steps(Self.law(of: $1, draws: 1)) }
    let pairs = hasPairs ? steps(Self.law(of: options.target, draws: 2)) : 0
    return laws.reduce(targets + pairs) { $0 + steps($1.law, repeats: repeats) }
  }

  /// Finds a target, its norms and what is to be kept of it; nil where it is not defined.
  private func targetPass(
    _ target: GradientTarget, draws: Int
  ) -> (norms: [ParameterGroup: Double]?, mean: MeanGradient?) {
    let law = Self.law(of: target, draws: draws)
    let mean = MeanGradient(context)
    let tokens = LawPass(
      context: context, law: law ?? .expected, subjects: [.target(target, draws: draws)], isRouterOnly: law == nil,
      reference: nil)
    sent.clear()
    let sums = tokens.run(means: [mean], sent: sent, onTile: progress.advance)
    guard sums.subjects[0].unavailable == nil else {
      if law != nil { progress.advance(context.shape.experts) }
      return (nil, nil)
    }
    let factor = 1 / Double(context.tokens)
    var norms: [ParameterGroup: Double] = [:]
    for (group, found) in routerSums(mean, nil) { norms[group] = factor * found.mean.squareRoot() }
    norms[.input] = factor * sums.subjects[0].input.mean.squareRoot()
    if law != nil {
      let isKept = target == options.target
      let kept = isKept ? LayerParameters<Double>(zeros: context.shape) : nil
      let experts = ExpertPass(context: context, sent: sent, reference: nil, kept: kept, writer: nil)
      norms[.experts] = factor * experts.run(onExpert: progress.advance).mean.squareRoot()
      if let scale = kept?.scale { for j in sums.scaleMean.indices { scale.elements[j] = sums.scaleMean[j] } }
      mean.parameters = kept
      if context.shape.scale {
        norms[.scale] = factor * sums.scaleMean.reduce(0) { $0 + $1 * $1 }.squareRoot()
      }
    }
    return (norms, mean)
  }

  /// The figures of the estimators that share a law.
  private func pass(_ law: ForwardLaw, _ members: [Int], against reference: MeanGradient?) -> [LayerAudit.Entry] {
    let estimators = members.map { options.estimators[$0] }
    let isRouterOnly = [.routingTerm, .gatingTerm].contains(options.target)
    let means = members.map { _ in MeanGradient(context) }
    let tokens = LawPass(
      context: context, law: law, subjects: estimators.map { .estimator($0) }, isRouterOnly: false,
      reference: isRouterOnly ? nil : reference)
    sent.clear()
    let sums = tokens.run(means: means, sent: sent, onTile: progress.advance)
    let available = estimators.indices.filter { sums.subjects[$0].unavailable == nil }
    let labels = available.map { estimators[$0].specification }
    var writer: MeanWriter?
    if let onMean {
      writer = { name, first, values in
        for label in labels { onMean("\(label)/\(name)", first, values) }
      }
    }
    let experts = ExpertPass(
      context: context, sent: sent, reference: reference?.parameters, kept: nil, writer: writer)
    let expertSums = experts.run(onExpert: progress.advance)
    var scaleSums = GroupSums()
    sums.scaleMean.withUnsafeBufferPointer { mean in
      guard let mean = mean.baseAddress else { return }
      scaleSums.add(mean, reference?.parameters?.scale.map { UnsafePointer($0.elements) }, count: sums.scaleMean.count)
    }
    for k in available { write(estimators[k], means[k], scale: sums.scaleMean) }
    // Against a target of the router alone, the inputs' gradient is that of its path through the router.
    var inputSums = sums.subjects
    if isRouterOnly {
      let path = LawPass(
        context: context, law: law, subjects: estimators.map { .estimator($0) }, isRouterOnly: true,
        reference: reference)
      inputSums =
        path.run(means: members.map { _ in MeanGradient(context) }, sent: sent, onTile: progress.advance).subjects
    }
    return estimators.indices.map { k in
      if let reason = sums.subjects[k].unavailable {
        return LayerAudit.Entry(estimator: estimators[k], result: .failure(reason))
      }
      // An average over K draws has a K-th of the variance of one.
      let draws = Self.samples(of: estimators[k])
      var figures: [ParameterGroup: GroupFigures] = [:]
      func add(_ group: ParameterGroup, _ found: GroupSums, variance: Double) {
        let square = 1 / (Double(context.tokens) * Double(context.tokens))
        var scaled = found
        scaled.mean *= square
        scaled.target *= square
        scaled.bias *= square
        scaled.product *= square
        figures[group] = GroupFigures(scaled, totalVariance: variance * square)
      }
      for (group, found) in routerSums(means[k], reference) {
        let own = sums.subjects[k]
        add(group, found, variance: group == .routerBias ? own.routerVariance : own.routerWeightVariance)
      }
      add(.experts, expertSums, variance: sums.expertsVariance / draws)
      if context.shape.scale { add(.scale, scaleSums, variance: sums.scaleVariance / draws) }
      add(.input, inputSums[k].input, variance: inputSums[k].inputVariance)
      return LayerAudit.Entry(estimator: estimators[k], result: .success(figures))
    }
  }

  private static func samples(of estimator: any GradientEstimator) -> Double {
    if let reinforce = estimator as? Reinforce, case .leaveOneOut(let samples) = reinforce.baseline {
      return Double(samples)
    }
    return 1
  }

  /// `Σ_t ĝ_t ⊗ x_t` and `Σ_t ĝ_t` against the reference's.
  private func routerSums(_ mean: MeanGradient, _ reference: MeanGradient?) -> [(ParameterGroup, GroupSums)] {
    let own = routerGradient(mean.logits)
    let other = reference.map { routerGradient($0.logits) }
    var weight = GroupSums()
    weight.add(own.weight.elements, other.map { UnsafePointer($0.weight.elements) }, count: own.weight.count)
    guard context.shape.routerBias else { return [(.routerWeight, weight)] }
    var bias = GroupSums()
    bias.add(own.bias.elements, other.map { UnsafePointer($0.bias.elements) }, count: own.bias.count)
    return [(.routerWeight, weight), (.routerBias, bias)]
  }

  private func routerGradient(_ logits: Tensor<Double>) -> (weight: Tensor<Double>, bias: Tensor<Double>) {
    let (n, d) = (context.shape.experts, context.shape.inputs)
    let weight = Tensor<Double>(rows: n, columns: d)
    let bias = Tensor<Double>(rows: 1, columns: n)
    Double.multiply(
      MatrixView(logits.elements, stride: n, transposed: true), MatrixView(context.layer.input.elements, stride: d),
      rows: n, columns: d, depth: context.tokens, alpha: 1, beta: 0, into: weight.elements, stride: d)
    Double.columnSums(logits.elements, rows: context.tokens, columns: n, stride: n, into: bias.elements)
    return (weight, bias)
  }

  /// Tells the means of everything but the experts.
  private func write(_ estimator: any GradientEstimator, _ mean: MeanGradient, scale: [Double]) {
    guard let onMean else { return }
    func tell(_ name: String, _ values: [Double]) {
      values.map { $0 / Double(context.tokens) }.withUnsafeBufferPointer {
        onMean("\(estimator.specification)/\(name)", 0, $0)
      }
    }
    let router = routerGradient(mean.logits)
    tell("router.weight", router.weight.values)
    if context.shape.routerBias { tell("router.bias", router.bias.values) }
    if context.shape.scale { tell("scale", scale) }
    tell("input", mean.input.values)
  }
}
