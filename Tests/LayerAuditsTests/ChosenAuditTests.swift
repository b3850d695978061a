import LayerTensors
import RouterSpecifications
import RoutingCore
import RoutingEstimators
import Synchronization
import Testing
import _TestSupport

@testable import LayerAudits

/// Audits of routers that choose, against every product written out and differentiated by a tape.
@Suite(.seeded) struct ChosenAuditTests {
  private typealias Specification = RouterSpecification

  /// Routers of four experts, of six with groups.
  static let specifications: [RouterSpecification] = [
    Specification(name: "top-1", experts: 4),
    Specification(name: "renormalised top-2", experts: 4, selection: .topK(2), gate: .init(isNormalized: true)),
    Specification(name: "top-3", experts: 4, selection: .topK(3), gate: .init(scale: 2.5)),
    Specification(
      name: "sigmoid with a bias", experts: 4, score: .init(.sigmoid), hasSelectionBias: true, selection: .topK(2),
      gate: .init(isNormalized: true, epsilon: 1e-3, scale: 1.8)),
    Specification(
      name: "sigmoid, groups", experts: 6, score: .init(.sigmoid, temperature: 1.5), hasSelectionBias: true,
      groups: .init(count: 3, kept: 2, score: .sumOfTwo), selection: .topK(3), gate: .init(isNormalized: true)),
    Specification(
      name: "softmax, groups", experts: 6, groups: .init(count: 2, kept: 1, score: .max), selection: .topK(2)),
    Specification(
      name: "over the chosen", experts: 4, key: .logits, selection: .topK(2), gate: .init(.softmaxOverChosen)),
    Specification(name: "sigmoid of the logit", experts: 4, selection: .topK(2), gate: .init(.sigmoidOfLogit)),
    Specification(name: "top-p", experts: 4, selection: .topP(mass: 0.7, count: 3)),
    Specification(name: "threshold", experts: 4, score: .init(.relu), selection: .threshold(above: 0, count: 4)),
    Specification(
      name: "expert scales", experts: 4, selection: .topK(2),
      gate: .init(isNormalized: true, floor: 0.6, hasExpertScales: true)),
    Specification(name: "expert choice", experts: 4, selection: .expertChoice(2)),
    Specification(
      name: "capacity", experts: 4, selection: .topK(2), gate: .init(isNormalized: true), capacity: .init(1)),
  ]

  private static func estimators(
    _ specification: RouterSpecification
  ) -> [(any GradientEstimator, ChosenBruteForce.Subject)] {
    let ofSoftmax: [(any GradientEstimator, ChosenBruteForce.Subject)] =
      specification.hasSoftmaxGates ? [(DenseMixer(branch: .softmax), .denseMixerOfSoftmax)] : []
    return [
      (Conventional(), .conventional), (StraightThrough(), .straightThrough), (DenseMixer(), .denseMixer),
      (DenseBackward(), .denseBackward), (DefaultMoE(k: specification.mostChosen), .standIns),
    ] + ofSoftmax
  }

  private func check(_ small: SmallLayer, _ name: String, target: GradientTarget, threads: Int) throws {
    let layer = small.make(name)
    guard let specification = layer.router?.specification else { return }
    let brute = ChosenBruteForce(layer)
    let pairs = Self.estimators(specification)
    let means = Mutex<[String: [Double]]>([:])
    for (name, shape) in LayerAudit.meanTensors(of: layer, pairs.map(\.0)) {
      means.withLock { $0[name] = [Double](repeating: .nan, count: shape.reduce(1, *)) }
    }
    let audit = try LayerAudit(
      layer, options: LayerAudit.Options(for: layer, estimators: pairs.map(\.0), target: target, threads: threads),
      onMean: { name, first, values in
        let values = Array(values)
        means.withLock { $0[name]?.replaceSubrange(first..<first + values.count, with: values) }
      })
    let subject: ChosenBruteForce.Subject =
      [.denseBackward: .denseBackward, .denseMixture: .denseMixture][target] ?? .conventional
    let held = brute.gradient(subject).gradient
    let title = "\(small), \(target.rawValue)"
    for (entry, (estimator, subject)) in zip(audit.entries, pairs) {
      let (gradient, loss) = brute.gradient(subject)
      expectClose(audit.expectedLoss, loss, within: 1e-11 * (1 + loss.magnitude), title)
      for (part, expected) in gradient where !part.hasPrefix("shared") {
        let found = try #require(means.withLock { $0["\(estimator.specification)/\(part)"] }, "\(part)")
        let scale = norm(expected) + 1e-3
        for k in expected.indices where !((found[k] - expected[k]).magnitude < 1e-9 * scale) {
          Issue.record("\(estimator.specification)/\(part)[\(k)]: \(found[k]), expected \(expected[k]): \(title)")
        }
      }
      let figures = try entry.result.get()
      for (group, own) in figures {
        let isRouter = group == .routerWeight || group == .routerBias
        if target == .gatingTerm, !isRouter {
          #expect(group == .input || own.targetNorm == nil)
          continue
        }
        func values(_ all: [String: [Double]]) -> [Double] {
          all.keys.filter { $0 == group.rawValue || group == .experts && $0.hasPrefix("experts.") }.sorted().flatMap {
            all[$0] ?? []
          }
        }
        let (mean, reference) = (values(gradient), values(held))
        let scale = norm(mean) + norm(reference) + 1e-3
        expectClose(own.meanNorm, norm(mean), within: 1e-9 * scale, "\(group) \(title)")
        expectClose(try #require(own.targetNorm), norm(reference), within: 1e-9 * scale, "\(group) \(title)")
        expectClose(
          try #require(own.biasNorm), norm(zip(mean, reference).map { $0 - $1 }), within: 1e-9 * scale,
          "\(group) \(title)")
        #expect(own.totalVariance == 0)
      }
    }
    let changes = (0..<layer.tokens).flatMap { brute.swaps($0) }
    let swaps = SwapContrasts(changes, experts: layer.shape.experts)
    let found = try #require(audit.swaps)
    #expect(found.tokens == swaps.tokens && found.evaluations == swaps.evaluations)
    // Of experts whose output is 0 the change is nothing but rounding.
    if changes.allSatisfy({ $0.isNaN || $0.magnitude > 1e-12 }) { #expect(found.lowered == swaps.lowered) }
    let largest = changes.filter { !$0.isNaN }.reduce(1) { max($0, $1.magnitude) }
    expectClose(found.gain, swaps.gain, within: 1e-10 * largest, title)
    expectClose(found.change, swaps.change, within: 1e-10 * largest, title)
  }

  @Test("an audit is what writing every product out gives", arguments: specifications.indices)
  func bruteForce(_ place: Int) throws {
    let specification = Self.specifications[place]
    var index = place
    for (number, activation) in Activation.allCases.enumerated() {
      for loss in 0..<3 {
        for isGated in [false, true] {
          index += 1
          // Every combination for k = 1, 2 and 3; of the other kinds of routers every second one.
          guard place < 3 || isGated == ((number + loss + place) % 2 == 0) else { continue }
          let small = SmallLayer(
            hasRouterBias: index & 1 != 0, hasHiddenBias: index % 3 != 0, hasOutputBias: index & 2 != 0,
            hasScale: index % 5 == 0, residual: index & 4 != 0, activation: activation, isCrossEntropy: loss == 1,
            isUpstream: loss == 2, isGated: isGated, shared: (index / 2) % 3, hasStandIns: true,
            router: specification, tokens: 3, experts: specification.experts)
          try check(
            small, "chosen \(index)", target: [.denseBackward, .denseMixture, .gatingTerm][(index / 3) % 3],
            threads: 1 + index % 3)
        }
      }
    }
  }

  @Test("more tokens than a tile, experts that nobody has")
  func tiles() throws {
    let specification = Specification(
      name: "tiles", experts: 5, selection: .topK(2), gate: .init(isNormalized: true))
    try check(
      SmallLayer(
        isGated: true, shared: 2, hasStandIns: true, router: specification, tokens: 520, experts: 5),
      "tiles", target: .denseBackward, threads: 2)
  }

  @Test("k = 1 under a softmax: what the estimators of one draw do at the expert that is chosen")
  func oneExpert() throws {
    let small = SmallLayer(isGated: true, hasStandIns: true, router: Specification(name: "one", experts: 3), tokens: 1)
    let layer = small.make("one")
    let audit = try LayerAudit(
      layer, options: LayerAudit.Options(for: layer, estimators: [StraightThrough(), Conventional()]))
    let problem = try BruteForce(layer: layer, mask: .none).problem(0)
    let x = norm((0..<layer.shape.inputs).map { layer.input[0, $0] })
    for entry in audit.entries {
      let outcomes = try entry.estimator.finiteOutcomes(on: problem)
      let chosen = problem.distribution.argmax
      let place = try #require(outcomes.outcomes.firstIndex { $0.choice == [chosen] })
      let expected = norm(outcomes.gradient(at: place)) * x
      let found = try #require(try entry.result.get()[.routerWeight])
      expectClose(found.meanNorm, expected, within: 1e-12 * expected)
    }
  }

  /// The three variants of DenseMixer for k > 1: gates as they are and divided by their sum, and a dense branch of the full softmax.
  @Test("DenseMixer's branches are one where gates are not divided, and two where they are")
  func branches() throws {
    for isNormalized in [false, true] {
      let specification = Specification(
        name: "branches", experts: 5, selection: .topK(2), gate: .init(isNormalized: isNormalized, scale: 1.5))
      let layer = SmallLayer(router: specification, experts: 5).make("branches")
      let audit = try LayerAudit(
        layer,
        options: LayerAudit.Options(for: layer, estimators: [DenseMixer(), DenseMixer(branch: .softmax)]))
      let found = try audit.entries.map { try $0.result.get() }
      #expect(found[0][.experts] == found[1][.experts], "experts see the sparse output alone")
      let (gates, softmax) = (try #require(found[0][.routerWeight]), try #require(found[1][.routerWeight]))
      let difference = (gates.meanNorm - softmax.meanNorm).magnitude
      #expect(isNormalized ? difference > 1e-3 * gates.meanNorm : difference <= 1e-12 * gates.meanNorm)
    }
    let sigmoid = Specification(name: "sigmoid", experts: 4, score: .init(.sigmoid), selection: .topK(2))
    let layer = SmallLayer(router: sigmoid, experts: 4).make("branches")
    let audit = try LayerAudit(
      layer, options: LayerAudit.Options(for: layer, estimators: [DenseMixer(branch: .softmax)]))
    #expect(throws: Unavailable("needs gates made of a softmax over all experts")) {
      try audit.entries[0].result.get()
    }
    #expect(DenseMixer().specification == "dense-mixer")
    #expect(try EstimatorRegistry.estimator("dense-mixer:branch=softmax").specification == "dense-mixer:branch=softmax")
  }

  @Test("what does not exist where experts are chosen says so")
  func unavailable() throws {
    let specification = Specification(name: "two", experts: 4, selection: .topK(2))
    let layer = SmallLayer(router: specification, experts: 4).make("unavailable")
    let audit = try LayerAudit(
      layer,
      options: LayerAudit.Options(for: layer, estimators: [Exact(), SparseMixer(), DefaultMoE(k: 2), DefaultMoE()]))
    let reasons = audit.entries.map { entry -> String in
      if case .failure(let reason) = entry.result { reason.reason } else { "none" }
    }
    #expect(
      reasons == [
        "needs a router that draws its experts", "needs a router that draws its experts", "needs experts.stand_ins",
        "needs experts.stand_ins",
      ])
    #expect(audit.target == .denseBackward)
    for (target, norms) in audit.targets {
      #expect(norms.isEmpty == (target != .gatingTerm && target != .denseBackward))
    }
    let other = SmallLayer(hasStandIns: true, router: specification, experts: 4).make("unavailable")
    let one = try LayerAudit(other, options: LayerAudit.Options(for: other, estimators: [DefaultMoE()]))
    #expect(throws: Unavailable("needs k=2, as many experts as the router chooses")) { try one.entries[0].result.get() }
    #expect(throws: InvalidInput.self) {
      try LayerAudit(layer, options: LayerAudit.Options(for: layer, mask: .paper(threshold: 0.1)))
    }
    let marginals = SmallLayer(
      router: Specification(
        name: "subset", experts: 4, selection: .topK(2), gate: .init(.subsetMarginal)), experts: 4
    ).make("unavailable")
    let subset = try LayerAudit(marginals, options: LayerAudit.Options(for: marginals))
    for entry in subset.entries { #expect(((try? entry.result.get()) != nil) == (entry.estimator is Conventional)) }
  }

  @Test("the number of threads does not matter")
  func threads() throws {
    let layer = SmallLayer(
      isGated: true, shared: 1,
      router: Specification(name: "threads", experts: 7, selection: .topK(2), gate: .init(isNormalized: true)),
      tokens: 90,
      experts: 7
    ).make("threads")
    func run(_ threads: Int) throws -> [[ParameterGroup: GroupFigures]] {
      try LayerAudit(layer, options: LayerAudit.Options(for: layer, threads: threads)).entries.compactMap {
        try? $0.result.get()
      }
    }
    let one = try run(1)
    #expect(one.count == 3)
    #expect(try run(2) == one)
    #expect(try run(5) == one)
  }

  @Test("a router that draws is audited as one that draws")
  func drawn() throws {
    let one = Specification(
      name: "one", experts: 3, mask: .referenceCode(threshold: 0.3), selection: .sampled(1),
      gate: .init(gradientFactor: 2))
    var small = SmallLayer(isGated: true, router: one)
    let layer = small.make("drawn")
    small.router = nil
    let plain = small.make("drawn")
    let audit = try LayerAudit(layer, options: LayerAudit.Options(for: layer))
    let same = try LayerAudit(plain, options: LayerAudit.Options(mask: .referenceCode(threshold: 0.3)))
    #expect(audit.mask == same.mask && audit.target == .expectedLoss && audit.swaps == nil)
    for entry in audit.entries {
      let other = try #require(same.entries.first { $0.estimator.specification == entry.estimator.specification })
      #expect((try? entry.result.get()) == (try? other.result.get()))
    }
    small.router = Specification(name: "two", experts: 3, selection: .sampled(2), gate: .init(.sequential))
    let pairs = small.make("drawn")
    #expect(LayerAudit.Options(for: pairs).estimators.map(\.specification) == [SparseMixerV2Top2().specification])
  }

  @Test("routers that cannot be audited are refused by the field that is why")
  func refused() {
    let refused: [(RouterSpecification, String)] = [
      (Specification(name: "a", experts: 4, gate: nil), "gate"),
      (Specification(name: "b", experts: 4, applied: .input), "applied"),
      (Specification(name: "c", experts: 4, nullExperts: .init(count: 1, kind: .zero)), "nullExperts"),
      (Specification(name: "d", experts: 4, gate: .init(outputScales: [1, 0.5])), "gate.outputScales"),
      (Specification(name: "e", experts: 4, selection: .forced(1)), "selection.kind"),
      (
        Specification(name: "f", experts: 4, selection: .unstated(atMost: 1, joint: false, fewer: false)),
        "selection.kind"
      ),
      (Specification(name: "g", experts: 4, selection: .sampled(3)), "selection.count"),
      (Specification(name: "h", experts: 4, score: .init(.sigmoid), selection: .sampled(1)), "selection.kind"),
      (Specification(name: "i", experts: 4, selection: .sampled(2)), "gate"),
    ]
    for (specification, path) in refused {
      do {
        _ = try LayerRouter(specification)
        Issue.record("\(specification.name) is not refused")
      } catch { #expect(error.path == path) }
    }
  }
}
