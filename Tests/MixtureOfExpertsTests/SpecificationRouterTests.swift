import FileFormats
import LayerAudits
import LayerTensors
import RouterSpecifications
import RoutingCore
import RoutingReports
import Testing
import _TestSupport

@testable import MixtureOfExperts

/// Routers of a specification as layers: against PyTorch's own blocks, and against what their specification says.
@Suite(.seeded) struct SpecificationRouterTests {
  /// A family of routers, for any number of experts from 3.
  struct Kind: Sendable, CustomTestStringConvertible {
    let name: String
    /// Whether experts have a bias besides, and factors of their own.
    var hasBias = false
    var hasScales = false
    let specification: @Sendable (Int) -> RouterSpecification

    func router(experts n: Int) throws -> SpecificationRouter {
      func numbers(_ factor: Double) -> [Double] { (0..<n).map { 1 + factor * Double($0 % 3) } }
      return try SpecificationRouter(
        specification(n), selectionBias: hasBias ? numbers(-0.25) : nil, expertScales: hasScales ? numbers(0.5) : nil)
    }

    var testDescription: String { name }
  }

  static let kinds: [Kind] = [
    Kind(name: "softmax") { RouterSpecification(name: "a", experts: $0) },
    Kind(name: "softmax, normalised") {
      RouterSpecification(name: "b", experts: $0, selection: .topK(2), gate: .init(isNormalized: true))
    },
    Kind(name: "softmax at a temperature") {
      RouterSpecification(name: "c", experts: $0, score: .init(.softmax, temperature: 0.5), selection: .topK(3))
    },
    Kind(name: "sigmoid, bias, scale", hasBias: true) {
      RouterSpecification(
        name: "d", experts: $0, score: .init(.sigmoid), hasSelectionBias: true, selection: .topK(2),
        gate: .init(isNormalized: true, epsilon: 1e-20, scale: 2.5))
    },
    Kind(name: "over the chosen, own scales", hasScales: true) {
      RouterSpecification(
        name: "e", experts: $0, key: .logits, selection: .topK(2),
        gate: .init(.softmaxOverChosen, hasExpertScales: true))
    },
    // Of primes there is one group of all, or groups of one.
    Kind(name: "groups") { n in
      RouterSpecification(
        name: "f", experts: n, score: .init(.sigmoid),
        groups: .init(count: n % 2 == 0 ? n / 2 : n, kept: n % 2 == 0 ? 1 : 2, score: .max), selection: .topK(2))
    },
    Kind(name: "threshold") {
      RouterSpecification(
        name: "g", experts: $0, score: .init(.relu), key: .logits, selection: .threshold(above: 0, count: 2))
    },
  ]

  @Test("gates and experts are those of the reference, whatever is chosen", arguments: kinds)
  func reference(_ kind: Kind) throws {
    let shape = LayerShape(experts: 4, inputs: 3, hidden: 5, outputs: 3, activation: .silu, routerBias: true)
    let router = try kind.router(experts: 4)
    let layer = try LayerCase<Double>.random(shape, router: router, tokens: 40, name: kind.name)
    _ = try layer.loss(nil)
    let most = router.slots(experts: 4)
    var call = RouterCall(
      mode: .eval,
      logits: (0..<40).map { t in
        (0..<4).map { i in
          (0..<3).reduce(layer.parameters.routerBias?[0, i] ?? 0) {
            $0 + layer.parameters.router[i, $1] * layer.input[t, $1]
          }
        }
      }, expertOutputs: [], upstream: [], uniforms: [])
    (call.bias, call.expertScales) = (router.selectionBias, router.expertScales)
    let gates = try #require(RouterReference(router.specification).gates(of: call))
    var counts = Set<Int>()
    for (t, own) in gates.enumerated() {
      counts.insert(own.chosen.count)
      #expect(own.chosen.count <= most)
      for s in 0..<most {
        let (choice, multiplier) = (
          Int(layer.workspace.choices[t * most + s]), layer.workspace.multipliers[t * most + s]
        )
        #expect(choice == (s < own.chosen.count ? own.chosen[s] : -1), "token \(t)")
        expectClose(multiplier, s < own.chosen.count ? own.values[s] : 0, within: 1e-13, "token \(t)")
      }
    }
    // A threshold lets through as many as it may; everything else has its k.
    #expect(kind.name == "threshold" ? counts.count > 1 : counts == [most])
  }

  @Test("blocks of transformers: PyTorch's own gradients", arguments: ["qwen2-moe-block", "gpt-oss-block"])
  func transformers(_ name: String) throws {
    let dumped = try DumpedLayer(Fixtures.bytes("layers/\(name).safetensors"))
    let expected = try SafeTensors(Fixtures.bytes("layers/\(name)-gradients.safetensors"))
    let specified = try #require(dumped.router)
    let layer = MixtureLayer<Double>(
      dumped.shape, router: try SpecificationRouter(specified.specification, selectionBias: specified.selectionBias))
    guard case .upstream(let upstream) = dumped.loss else {
      Issue.record("expected an upstream gradient")
      return
    }
    let workspace = LayerWorkspace(layer, maximumTokens: dumped.tokens)
    let gradients = LayerParameters<Double>(zeros: dumped.shape)
    let inputGradient = Tensor<Double>(rows: dumped.tokens, columns: dumped.shape.inputs)
    for threads in [1, 3] {
      try layer.forward(
        dumped.input.elements, tokens: dumped.tokens, parameters: dumped.parameters, workspace: workspace,
        randomness: LayerRandomness(seed: 1), threads: threads)
      layer.backward(
        upstream.elements, input: dumped.input.elements, parameters: dumped.parameters, workspace: workspace,
        gradients: gradients, inputGradient: inputGradient.elements, threads: threads)
      var compared = 0
      let found = gradients.all.filter { !$0.name.hasPrefix("shared") } + [("input", inputGradient)]
      for (part, tensor) in found {
        // The loss is the mean over tokens.
        let others = try expected.numbers("conventional/\(part)").map { $0 * Double(dumped.tokens) }
        let scale = others.map(\.magnitude).max() ?? 0
        for (value, other) in zip(tensor.values, others) { expectClose(value, other, within: 1e-12 * scale, part) }
        compared += others.count
      }
      #expect(compared > 100)
    }
  }

  @Test("a capacity counts all k choices of a token")
  func capacity() throws {
    let shape = LayerShape(experts: 6, inputs: 2, hidden: 2, outputs: 2, activation: .relu)
    let options = LayerOptions(capacityFactor: 1)
    let router = SpecificationRouter(top: 3, score: .softmax, gate: .init(isNormalized: true))
    #expect(MixtureLayer<Float>(shape, router: router, options: options).capacity(tokens: 10) == 5)
    let small = LayerShape(experts: 2, inputs: 2, hidden: 2, outputs: 2, activation: .relu)
    // Of two experts it takes both.
    #expect(MixtureLayer<Float>(small, router: router, options: options).capacity(tokens: 10) == 10)
  }

  @Test(
    "what a layer does not do token by token is refused with the field's path",
    arguments: [
      (RouterSpecification(name: "x", experts: 4, selection: .expertChoice(2)), "selection.kind"),
      (RouterSpecification(name: "x", experts: 4, selection: .sampled(2)), "selection.kind"),
      (RouterSpecification(name: "x", experts: 4, gate: nil), "gate"),
      (RouterSpecification(name: "x", experts: 4, applied: .input), "applied"),
      (RouterSpecification(name: "x", experts: 4, noise: .init(.normal)), "noise"),
      (RouterSpecification(name: "x", experts: 4, hasSelectionBias: true), "bias"),
      (RouterSpecification(name: "x", experts: 4, gate: .init(hasExpertScales: true)), "gate.perExpertScale"),
    ])
  func refused(_ specification: RouterSpecification, _ path: String) {
    #expect { try SpecificationRouter(specification) } throws: { ($0 as? InvalidInput)?.path == path }
  }
}
