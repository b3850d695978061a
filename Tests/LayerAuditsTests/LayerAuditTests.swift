import GSLNumerics
import LayerTensors
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Synchronization
import Testing
import _TestSupport

@testable import LayerAudits

@Suite(.seeded) struct LayerAuditTests {
  private static let estimators: [any GradientEstimator] =
    LayerAudit.Options().estimators + [
      Reinforce(baseline: .optimal), Reinforce(baseline: .leaveOneOut(samples: 2)),
      Quadrature(.gaussLegendre(2), drawsOneNode: true), Quadrature(.heun3),
    ]

  private func compare(_ layer: DumpedLayer, _ options: LayerAudit.Options, _ title: String) throws {
    let audit = try LayerAudit(layer, options: options)
    let brute = BruteForce(layer: layer, mask: options.mask)
    let tokens = 0..<layer.tokens
    func sum(_ gradients: [BruteForce.Gradient]) -> BruteForce.Gradient {
      gradients[1...].reduce(gradients[0]) { $0.merging($1) { zip($0, $1).map { $0 + $1 } } }
        .mapValues { $0.map { $0 / Double(layer.tokens) } }
    }
    func close(_ actual: Double?, _ expected: Double?, _ scale: Double, _ quantity: String) {
      if (actual == nil) != (expected == nil) { Issue.record("\(quantity) is \(String(describing: actual)): \(title)") }
      guard let actual, let expected else { return }
      expectClose(actual, expected, within: 1e-9 * max(scale, expected.magnitude), "\(quantity), \(title)")
    }
    for (target, norms) in audit.targets {
      let expected = sum(try tokens.map { try brute.target(target, draws: 1, $0) })
      #expect(Set(norms.keys) == Set(expected.keys), "\(target), \(title)")
      for (group, values) in expected { close(norms[group], norm(values), 1e-3, "\(target.rawValue), \(group)") }
    }
    for entry in audit.entries {
      guard let figures = try? entry.result.get() else {
        #expect(
          entry.estimator is DefaultMoE && layer.standIns == nil, "\(entry.estimator.specification): \(entry.result)")
        continue
      }
      let moments = try tokens.map { BruteForce.moments(try brute.outcomes(entry.estimator, $0)) }
      let mean = sum(moments.map { $0.mapValues(\.mean) })
      let claims = entry.estimator.claims
      let target = sum(
        try tokens.map { try brute.target(options.target, draws: claims.draws, subsets: claims.subsets, $0) })
      let isRouterOnly = [.routingTerm, .gatingTerm].contains(options.target)
      for group in audit.groups where !(isRouterOnly && group == .input) {
        let found = try #require(figures[group])
        let name = "\(entry.estimator.specification) \(group)"
        let scale = norm(mean[group] ?? []) + norm(target[group] ?? [])
        close(found.meanNorm, norm(mean[group] ?? []), scale, "\(name) mean")
        let variance = moments.reduce(0) { $0 + ($1[group]?.variance ?? 0) } / Double(layer.tokens * layer.tokens)
        close(found.totalVariance, variance, scale * scale, "\(name) variance")
        close(found.targetNorm, target[group].map { norm($0) }, scale, "\(name) target")
        guard let target = target[group], let own = mean[group] else { continue }
        close(found.biasNorm, norm(zip(own, target).map { $0 - $1 }), scale, "\(name) bias")
        let product = norm(own) * norm(target)
        close(found.cosine, product > 0 ? dot(own, target) / product : nil, 1, "\(name) cosine")
      }
    }
  }

  private static let masks: [Mask] = [.none, .paper(threshold: 0.4), .referenceCode(threshold: 0.3)]

  @Test("an audit is what writing every outcome out gives, whatever parts the layer has", arguments: 0..<64)
  func bruteForce(_ index: Int) throws {
    for activation in [Activation.relu, .gelu, .silu] {
      let small = SmallLayer(
        hasRouterBias: index & 1 != 0, hasHiddenBias: index & 2 != 0, hasOutputBias: index & 4 != 0,
        hasScale: index & 8 != 0, residual: index & 16 != 0, activation: activation, isCrossEntropy: index & 32 != 0,
        tokens: 2)
      let layer = small.make("brute force \(index)")
      for mask in Self.masks {
        try compare(
          layer, LayerAudit.Options(estimators: Self.estimators, mask: mask, threads: 1 + index % 3),
          "\(small), \(mask)")
      }
    }
  }

  @Test(
    "gated and shared experts, every loss and activation, stand-ins, where one expert is drawn",
    arguments: Activation.allCases)
  func trainedToday(_ activation: Activation) throws {
    for index in 0..<12 {
      let small = SmallLayer(
        hasRouterBias: index & 1 != 0, hasHiddenBias: index % 3 != 0, hasOutputBias: index & 2 != 0,
        hasScale: index & 4 != 0, residual: index & 8 != 0, activation: activation, isCrossEntropy: index % 3 == 1,
        isUpstream: index % 3 == 2, isGated: index % 5 != 0, shared: index % 4 == 3 ? 0 : index % 4, hasStandIns: true,
        tokens: 2)
      try compare(
        small.make("today \(index)"),
        LayerAudit.Options(
          estimators: Self.estimators + [DenseMixer(), DefaultMoE(k: 2)], mask: Self.masks[index % 3],
          threads: 1 + index % 2), "\(small)")
    }
  }

  @Test("against every target", arguments: GradientTarget.allCases)
  func targets(_ target: GradientTarget) throws {
    let layer = SmallLayer(tokens: 4).make("targets")
    // Pairs have no dense targets; their figures then have no target at all.
    let single = Self.estimators.filter { $0.claims.draws == 1 || target != .denseMixture && target != .denseBackward }
    try compare(layer, LayerAudit.Options(estimators: single, target: target), target.rawValue)
  }

  /// The last two laws are told apart by what estimators are held against.
  static let subsets: [any GradientEstimator] = [
    SIMPLE(), ProbMoE(), SIMPLE(sizes: 1...2), SubsetReinforce(law: .conditionalBernoulli(sizes: 2...2)),
    SubsetReinforce(law: .plackettLuce(2), baseline: 0.3), Conventional(), SparseMixerV2Top2(),
  ]

  @Test("estimators that draw subsets, beside others", arguments: 0..<6)
  func drawnSubsets(_ index: Int) throws {
    let small = SmallLayer(
      hasRouterBias: index & 1 != 0, hasScale: index & 2 != 0, residual: index & 1 == 0, isCrossEntropy: index % 3 == 1,
      isUpstream: index % 3 == 2, isGated: index & 2 != 0, shared: index & 1, tokens: 2, experts: 3 + index % 2)
    for target in [GradientTarget.expectedLoss, .routingTerm, .gatingTerm] {
      try compare(
        small.make("subsets \(index)"),
        LayerAudit.Options(estimators: Self.subsets, target: target, threads: 1 + index % 2),
        "\(small) \(target.rawValue)")
    }
  }

  @Test("more subsets than are gone through are refused, and masks that keep fewer experts than a subset takes")
  func tooManySubsets() throws {
    let wide = SmallLayer(tokens: 1, experts: 30).make("many subsets")
    let audit = try LayerAudit(wide, options: LayerAudit.Options(estimators: [SIMPLE(sizes: 5...5), SIMPLE()]))
    #expect(throws: Unavailable("has more than 4096 subsets of a token's experts, which are not audited")) {
      try audit.entries[0].result.get()
    }
    #expect((try? audit.entries[1].result.get()) != nil)
    let few = try LayerAudit(
      SmallLayer(tokens: 1, experts: 3).make("few"), options: LayerAudit.Options(estimators: [SIMPLE(sizes: 4...4)]))
    #expect(throws: Unavailable("needs 4 experts that may be drawn")) { try few.entries[0].result.get() }
  }

  @Test("many experts: 128 of them, and pairs of twelve")
  func manyExperts() throws {
    let single: [any GradientEstimator] = [Conventional(), SparseMixer(), SparseMixerV2(), Reinforce(), Exact()]
    try compare(
      SmallLayer(tokens: 1, experts: 128).make("128"),
      LayerAudit.Options(estimators: single, mask: .referenceCode(threshold: 0.2)), "128 experts")
    for isCrossEntropy in [false, true] {
      try compare(
        SmallLayer(isCrossEntropy: isCrossEntropy, tokens: 1, experts: 12).make("12"),
        LayerAudit.Options(estimators: [SparseMixerV2Top2(), DenseBackward()]), "12 experts, \(isCrossEntropy)")
    }
  }

  @Test(
    "tokens whose events come in parts: as a whole, or after one first draw at a time", arguments: [1, 2_000, 20_000])
  func parts(_ room: Int) throws {
    for isCrossEntropy in [false, true] {
      let layer = SmallLayer(isCrossEntropy: isCrossEntropy, tokens: 3, experts: 9).make("parts")
      for target in [GradientTarget.expectedLoss, .gatingTerm] {
        var options = LayerAudit.Options(
          estimators: [SparseMixerV2Top2(), SparseMixer(), DenseBackward()], target: target)
        options.room = room
        try compare(layer, options, "room for \(room) numbers, \(isCrossEntropy), \(target)")
      }
    }
  }

  @Test(
    "with more outputs than experts what goes back is spanned by the experts' outputs, for all laws of a batch together",
    arguments: 0..<12)
  func spans(_ index: Int) throws {
    let small = SmallLayer(
      hasRouterBias: index & 1 != 0, hasOutputBias: index % 3 != 0, hasScale: index & 2 != 0, residual: index & 4 != 0,
      activation: .silu, isUpstream: index % 5 == 4, isGated: index & 8 != 0, shared: index % 3, tokens: 2, experts: 4,
      width: 6, outputs: 5)
    for (mask, room) in zip(Self.masks, [20_000_000, 3_000, 20_000_000]) {
      var options = LayerAudit.Options(estimators: Self.estimators, mask: mask, threads: 1 + index % 2)
      options.room = room
      try compare(small.make("spans \(index)"), options, "\(small), \(mask)")
    }
  }

  @Test("a layer with many experts and few outputs takes unit vectors", arguments: [1, 2, 3])
  func unitVectors(_ width: Int) throws {
    let small = SmallLayer(activation: .silu, tokens: 2, experts: 20, width: width)
    try compare(
      small.make("units"), LayerAudit.Options(estimators: [SparseMixerV2Top2(), DenseBackward(), SparseMixerV2()]),
      "\(small)")
  }

  @Test("the order of tokens and of experts does not matter")
  func permutations() throws {
    let small = SmallLayer(tokens: 6, experts: 5)
    let layer = small.make("permutations")
    let (tokens, experts) = ([3, 0, 5, 1, 4, 2], [4, 2, 0, 1, 3])
    func rows(_ tensor: Tensor<Double>, _ order: [Int]) -> Tensor<Double> {
      let width = tensor.count / order.count
      let values = order.flatMap { k in (0..<width).map { tensor.elements[k * width + $0] } }
      return Tensor(rows: tensor.rows, columns: tensor.columns, values)
    }
    let other = LayerParameters<Double>(zeros: layer.shape)
    for (from, to) in zip(layer.parameters.all, other.all) {
      let permuted = from.name == "scale" ? from.tensor : rows(from.tensor, experts)
      for k in 0..<to.tensor.count { to.tensor.elements[k] = permuted.elements[k] }
    }
    guard case .squaredError(let targets) = layer.loss else { return }
    let permuted = DumpedLayer(
      shape: layer.shape, residual: layer.residual, parameters: other, input: rows(layer.input, tokens),
      loss: .squaredError(targets: rows(targets, tokens)))
    let (one, two) = (try LayerAudit(layer), try LayerAudit(permuted))
    for (a, b) in zip(one.entries, two.entries) {
      guard let left = try? a.result.get(), let right = try? b.result.get() else { continue }
      for group in one.groups {
        let (x, y) = (try #require(left[group]), try #require(right[group]))
        let title = "\(a.estimator.specification), \(group)"
        expectClose(y.meanNorm, x.meanNorm, within: 1e-12 * x.meanNorm, title)
        expectClose(
          y.totalVariance, x.totalVariance, within: 1e-12 * (x.totalVariance + x.meanNorm * x.meanNorm), title)
        if let bias = x.biasNorm, let norm = x.targetNorm {
          expectClose(try #require(y.biasNorm), bias, within: 1e-12 * (bias + norm), title)
        }
      }
    }
  }

  @Test("the means that are written are the derivatives of the expected loss")
  func derivatives() throws {
    let layer = SmallLayer(activation: .silu, tokens: 3).make("derivatives")
    let means = Mutex<[String: [Double]]>([:])
    let estimators: [any GradientEstimator] = [Exact()]
    let shapes = LayerAudit.meanTensors(of: layer, estimators)
    for (name, shape) in shapes {
      means.withLock { $0[name] = [Double](repeating: .nan, count: shape.reduce(1, *)) }
    }
    _ = try LayerAudit(
      layer, options: LayerAudit.Options(estimators: estimators),
      onMean: { name, first, values in
        let values = Array(values)
        means.withLock { $0[name]?.replaceSubrange(first..<first + values.count, with: values) }
      })
    let brute = BruteForce(layer: layer, mask: .none)
    func expectedLoss() throws -> Double {
      try (0..<layer.tokens).reduce(0) { sum, t in
        let pi = try brute.problem(t).distribution.probabilities
        return sum + pi.indices.reduce(0) { $0 + pi[$1] * brute.value(t, [($1, pi[$1], pi[$1], false)]) }
      } / Double(layer.tokens)
    }
    for (name, tensor) in layer.parameters.all + [("input", layer.input)] {
      let found = try #require(means.withLock { $0["exact:/\(name)"] ?? $0["exact/\(name)"] })
      for k in 0..<tensor.count {
        let value = tensor.elements[k]
        let numerical = try derivative(
          of: { x in
            tensor.elements[k] = x
            defer { tensor.elements[k] = value }
            return (try? expectedLoss()) ?? .nan
          }, at: value)
        expectClose(found[k], numerical.value, within: 1e-8 + 10 * numerical.error, "\(name)[\(k)]")
      }
    }
  }

  @Test("the number of threads does not matter, and progress reaches its end")
  func threads() throws {
    let layer = SmallLayer(tokens: 150, experts: 5).make("threads")
    func run(_ threads: Int) throws -> [[ParameterGroup: GroupFigures]] {
      let last = Mutex((0, 0))
      let audit = try LayerAudit(
        layer, options: LayerAudit.Options(threads: threads),
        onProgress: { done, all in last.withLock { $0 = (max($0.0, done), all) } })
      let (done, all) = last.withLock { $0 }
      #expect(done == all && all > 0)
      return audit.entries.compactMap { try? $0.result.get() }
    }
    let one = try run(1)
    #expect(try run(2) == one)
    #expect(try run(5) == one)
  }

  @Test("unbiased estimators are unbiased for the groups that their claims are about")
  func unbiased() throws {
    let audit = try LayerAudit(
      SmallLayer(tokens: 5, experts: 4).make("unbiased"),
      options: LayerAudit.Options(estimators: [Exact(), Reinforce()]))
    for entry in audit.entries {
      for (group, figures) in try entry.result.get() {
        #expect(try #require(figures.relativeBias) < 1e-13, "\(entry.estimator.specification) \(group)")
      }
    }
    let dense = try LayerAudit(
      SmallLayer(tokens: 5, experts: 4).make("unbiased"),
      options: LayerAudit.Options(estimators: [DenseBackward()], target: .denseBackward))
    for (group, figures) in try dense.entries[0].result.get() {
      #expect(try #require(figures.relativeBias) < 1e-13, "\(group)")
    }
  }
}
