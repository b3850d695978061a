import GSLNumerics
import LayerTensors
import MixtureOfExperts
import Testing
import _TestSupport

/// Every layer's backward pass in Double against GSL's numerical derivative of its forward pass.
@Suite(.seeded) struct LayerGradientTests {
  static let shapes: [LayerShape] = [
    LayerShape(experts: 4, inputs: 5, hidden: 6, outputs: 5, activation: .gelu, routerBias: true, scale: true),
    LayerShape(experts: 3, inputs: 4, hidden: 7, outputs: 4, activation: .silu, hiddenBias: false, outputBias: false),
    LayerShape(experts: 5, inputs: 3, hidden: 8, outputs: 3, activation: .relu, routerBias: true, outputBias: false),
    LayerShape(
      experts: 3, inputs: 4, hidden: 5, outputs: 4, activation: .clampedSwiglu, gated: true, scale: true,
      shared: SharedShape(count: 2, hidden: 3, gated: true, gate: true)),
    LayerShape(
      experts: 4, inputs: 3, hidden: 4, outputs: 3, activation: .geluTanh, gated: true, routerBias: true,
      hiddenBias: false, outputBias: false,
      shared: SharedShape(count: 1, hidden: 6, hiddenBias: true, outputBias: false)),
    LayerShape(
      experts: 3, inputs: 3, hidden: 5, outputs: 3, activation: .relu, gated: true,
      shared: SharedShape(count: 1, hidden: 4, gated: true)),
  ]
  static let options: [LayerOptions] = [
    LayerOptions(), LayerOptions(residual: true, capacityFactor: 1, loadBalance: 0.3, zLoss: 0.1),
  ]

  /// Entries of each tensor that are tried: all of them if they are few.
  private static let tried = 12

  private func check(_ router: any TokenRouter, names: (String) -> Bool, _ title: String) throws {
    try check({ _ in router }, names: names, title)
  }

  private func check(
    _ router: (LayerShape) throws -> any TokenRouter, names: (String) -> Bool, _ title: String
  ) throws {
    for (s, shape) in Self.shapes.enumerated() {
      for options in Self.options {
        let layer = try LayerCase<Double>.random(
          shape, router: try router(shape), options: options, tokens: 7, name: "gradient \(title) \(s)")
        let randomness = LayerRandomness(seed: TestSeed.value, stream: 9)
        // Stand-ins are brought up to date at each pass: every pass starts from the same.
        func evaluate() throws -> Double {
          layer.layer.standIns?.clear()
          return try layer.loss(randomness)
        }
        _ = try evaluate()
        layer.differentiate()
        for (name, tensor, gradient) in layer.pairs where names(name) {
          for k in stride(from: 0, to: tensor.count, by: max(1, tensor.count / Self.tried)) {
            let (value, expected) = (tensor.elements[k], gradient.elements[k])
            let numerical = try derivative(
              of: { x in
                tensor.elements[k] = x
                defer { tensor.elements[k] = value }
                return (try? evaluate()) ?? .nan
              }, at: value, step: 1e-4)
            expectClose(
              expected, numerical.value, within: 1e-8 + 10 * numerical.error,
              "\(title), shape \(s), \(name)[\(k)], \(options)")
          }
        }
      }
    }
  }

  @Test("what a layer computes is differentiated in full", arguments: 0..<Routers.jointlyDeterministic.count)
  func differentiable(_ index: Int) throws {
    let router = Routers.jointlyDeterministic[index]
    // A stand-in follows the experts' outputs, but no gradient follows it.
    let isStandingIn = router is DefaultMoERouter
    try check(router, names: { !isStandingIn || $0.hasPrefix("router") || $0 == "scale" }, "\(router)")
  }

  @Test("sampled routers: experts and scale see the forward value", arguments: 0..<Routers.sampled.count)
  func sampled(_ index: Int) throws {
    let router = Routers.sampled[index]
    guard !(router is DenseBackwardRouter), !(router is ExactRouter) else { return }
    try check(router, names: { $0.hasPrefix("experts") || $0.hasPrefix("shared") || $0 == "scale" }, "\(router)")
  }

  @Test("exact: the gradient of the expected loss, by every parameter and input")
  func exact() throws { try check(ExactRouter(), names: { _ in true }, "exact") }

  @Test("routers of a specification are differentiated in full", arguments: SpecificationRouterTests.kinds)
  func specified(_ kind: SpecificationRouterTests.Kind) throws {
    try check({ try kind.router(experts: $0.experts) }, names: { _ in true }, kind.name)
  }
}
