import LayerTensors
internal import RouterSpecifications
import RoutingCore
import RoutingEstimators

/// The audit of a layer whose router chooses.
struct ChosenRun {
  private let context: ChosenContext
  private let options: LayerAudit.Options
  private let onMean: MeanWriter?
  /// The estimators' subjects, or why they are none.
  private let subjects: [Result<ChosenSubject, Unavailable>]
  /// The targets' subjects, those that are defined; a dense mixture only where it is asked for, as it takes passes of its own.
  private let targets: [(target: GradientTarget, subject: ChosenSubject?)]
  private let forwards: [ChosenMixture: ChosenForward]
  private let found: ChosenPass.Found
  private let laws: [ChosenLaw]
  /// What comes to the inputs past the experts, the residual and the shared experts, by mixture `[tokens · inputs]`.
  private let bypass: [ChosenMixture: [Double]]

  init(
    _ context: ChosenContext, _ options: LayerAudit.Options, _ onMean: MeanWriter?,
    _ onProgress: @escaping @Sendable (Int, Int) -> Void
  ) {
    self.context = context
    self.options = options
    self.onMean = onMean
    let specification = context.specification
    let subjects = options.estimators.map { estimator in
      Result { () throws(Unavailable) in try ChosenSubject(estimator, on: context.layer, specification) }
    }
    let targets = GradientTarget.allCases.map { target in
      let isLeftOut = target == .denseMixture && options.target != .denseMixture
      return (target, isLeftOut ? nil : try? ChosenSubject(target, specification))
    }
    let held = targets.first { $0.0 == options.target }?.1
    var laws: [ChosenLaw] = []
    // Of the targets only the one that is asked for goes through experts.
    let through =
      subjects.compactMap { try? $0.get() } + [AuditRun.isRouterOnly(options.target) ? nil : held].compactMap(\.self)
    for subject in through where !laws.contains(subject.law) { laws.append(subject.law) }
    let everyone = through + targets.compactMap(\.1).filter { if case .rule = $0 { true } else { false } }
    var mixtures = Set(everyone.map(\.law.mixture))
    mixtures.insert(.chosen)
    var forwards: [ChosenMixture: ChosenForward] = [:]
    for mixture in mixtures { forwards[mixture] = ChosenForward(mixture, context) }
    let isLinear = context.layer.loss.slope == 0
    var everySlope = Set(everyone.filter(\.needsEveryExpert).map(\.law.mixture))
    if isLinear { everySlope.insert(.chosen) }
    let labels = laws.map { law in
      options.estimators.indices.filter { (try? subjects[$0].get())?.law == law }.map {
        options.estimators[$0].specification
      }
    }
    let progress = AuditProgress(onProgress, steps: context.shape.experts)
    found = ChosenPass(
      context, forwards: forwards, laws: laws,
      reference: AuditRun.isRouterOnly(options.target) ? nil : held.flatMap { laws.firstIndex(of: $0.law) },
      everySlope: everySlope, swaps: !isLinear, writers: labels.map { expertWriter(onMean, $0) }
    ).run(onExpert: progress.advance)
    bypass = forwards.mapValues { Self.bypass($0, context) }
    self.subjects = subjects
    self.targets = targets
    self.forwards = forwards
    self.laws = laws
  }

  /// What comes to the inputs past the experts.
  private static func bypass(_ forward: ChosenForward, _ context: ChosenContext) -> [Double] {
    let (d, e) = (context.shape.inputs, context.shape.outputs)
    var paths = context.layer.residual ? forward.gradients : [Double](repeating: 0, count: context.tokens * d)
    guard let shared = context.shared else { return paths }
    let tiles = AuditContext.tiles(context.tokens, of: 128)
    let parts = parallelMap(0..<tiles.count, threads: context.threads) { k in
      var part = [Double](repeating: 0, count: tiles[k].count * d)
      shared.addPaths(
        Array(forward.gradients[tiles[k].lowerBound * e..<tiles[k].upperBound * e]), tokens: tiles[k],
        token: { tiles[k].lowerBound + $0 }, to: &part)
      return part
    }
    for (k, value) in parts.joined().enumerated() { paths[k] += value }
    return paths
  }

  // MARK: - Gradients

  /// The gradient of a subject, all of them times T.
  private struct Gradient {
    /// `[tokens · experts]`.
    var logits: [Double]
    /// Through the router alone, `[tokens · inputs]`.
    var routerInput: [Double]
    /// Through everything, `[tokens · inputs]`.
    var input: [Double]
    var scale: [Double]
    /// The place of its law, if it goes through experts.
    var law: Int?
  }

  private func gradient(of subject: ChosenSubject) -> Gradient {
    let (t, n, d, e) = (context.tokens, context.shape.experts, context.shape.inputs, context.shape.outputs)
    let law = subject.law
    guard let forward = forwards[law.mixture], let slopes = found.slopes[law.mixture] else {
      preconditionFailure("every mixture is evaluated before its gradients")
    }
    let logits = parallelMap(0..<t, threads: context.threads) { token in
      let standIns = context.layer.standIns.map { rows in
        forward.sent.withUnsafeBufferPointer { sent in
          (0..<n).map { i in
            sent.baseAddress.map { Double.dot($0 + token * e, rows.row(i), scale: nil, count: e) } ?? 0
          }
        }
      }
      return subject.gradient(
        context.gates[token], slopes: Array(slopes[token * n..<(token + 1) * n]), standIns: standIns ?? [])
    }.flatMap(\.self)
    var routerInput = [Double](repeating: 0, count: t * d)
    MatrixFactor.multiply(
      .rows(logits, stride: n), .memory(context.layer.parameters.router.elements, stride: d), rows: t, columns: d,
      depth: n, into: &routerInput)
    var input = routerInput
    let place = laws.firstIndex(of: law)
    if let place, let past = bypass[law.mixture] {
      for k in input.indices { input[k] += past[k] + found.inputs[place][k] }
    }
    var scale = place.map { found.scale[$0] } ?? []
    if let place, context.shape.scale, laws[place].shares != .dense {
      for k in forward.gradients.indices { scale[k % e] += forward.gradients[k] * forward.mixed[k] }
    }
    return Gradient(logits: logits, routerInput: routerInput, input: input, scale: scale, law: place)
  }

  // MARK: - Figures

  /// The mean over tokens of the loss.
  var loss: Double { (forwards[.chosen]?.values.reduce(0, +) ?? .nan) / Double(context.tokens) }

  /// What the loss would be with other experts.
  var swaps: SwapContrasts {
    let isLinear = context.layer.loss.slope == 0
    return SwapContrasts(
      isLinear ? SwapContrasts.changes(context, slopes: found.slopes[.chosen] ?? []) : found.swaps,
      experts: context.shape.experts)
  }

  /// The norms of targets, and what estimators come to.
  func figures() -> (
    norms: [(target: GradientTarget, norms: [ParameterGroup: Double])], entries: [LayerAudit.Entry]
  ) {
    var held: Gradient?
    var norms: [(target: GradientTarget, norms: [ParameterGroup: Double])] = []
    for (target, subject) in targets {
      let own = subject.map { gradient(of: $0) }
      if target == options.target { held = own }
      norms.append((target, own.map { self.norms($0, target) } ?? [:]))
    }
    let isRouterOnly = AuditRun.isRouterOnly(options.target)
    let entries = options.estimators.indices.map { k in
      LayerAudit.Entry(
        estimator: options.estimators[k],
        result: subjects[k].map { subject in
          let own = gradient(of: subject)
          RouterGradient.tell(
            onMean, options.estimators[k].specification, logits: own.logits, scale: own.scale, input: own.input,
            context.layer)
          return figures(own, held, isRouterOnly: isRouterOnly)
        })
    }
    return (norms, entries)
  }

  private func norms(_ gradient: Gradient, _ target: GradientTarget) -> [ParameterGroup: Double] {
    let factor = 1 / Double(context.tokens)
    var norms: [ParameterGroup: Double] = [:]
    for (group, sums) in RouterGradient.sums(gradient.logits, against: nil, context.layer) {
      norms[group] = factor * sums.mean.squareRoot()
    }
    guard !AuditRun.isRouterOnly(target) else {
      norms[.input] = factor * squaredNorm(gradient.routerInput).squareRoot()
      return norms
    }
    guard let law = gradient.law else { return norms }
    norms[.input] = factor * squaredNorm(gradient.input).squareRoot()
    norms[.experts] = factor * found.sums[law].mean.squareRoot()
    if context.shape.scale { norms[.scale] = factor * squaredNorm(gradient.scale).squareRoot() }
    return norms
  }

  private func figures(
    _ own: Gradient, _ held: Gradient?, isRouterOnly: Bool
  ) -> [ParameterGroup: GroupFigures] {
    let square = 1 / (Double(context.tokens) * Double(context.tokens))
    var figures: [ParameterGroup: GroupFigures] = [:]
    func add(_ group: ParameterGroup, _ sums: GroupSums) {
      figures[group] = GroupFigures(sums.scaled(by: square), totalVariance: 0)
    }
    for (group, sums) in RouterGradient.sums(own.logits, against: held?.logits, context.layer) { add(group, sums) }
    if let law = own.law { add(.experts, found.sums[law]) }
    if context.shape.scale {
      var sums = GroupSums()
      sums.add(own.scale, isRouterOnly ? nil : held?.scale[...])
      add(.scale, sums)
    }
    var input = GroupSums()
    if isRouterOnly {
      input.add(own.routerInput, held?.routerInput[...])
    } else {
      input.add(own.input, held?.input[...])
    }
    add(.input, input)
    return figures
  }
}
