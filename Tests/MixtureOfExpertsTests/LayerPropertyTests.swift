import LayerTensors
import MixtureOfExperts
import RoutingCore
import Testing
import _TestSupport

@Suite(.seeded) struct LayerPropertyTests {
  private static let shape = LayerShape(
    experts: 5, inputs: 6, hidden: 9, outputs: 6, activation: .gelu, routerBias: true, scale: true)
  private static let options = LayerOptions(residual: true, loadBalance: 0.2, zLoss: 0.05)

  private func run<Scalar: LayerScalar>(
    _ layer: LayerCase<Scalar>, _ randomness: LayerRandomness?, threads: Int = 1
  ) throws -> Double {
    let loss = try layer.loss(randomness, threads: threads)
    layer.differentiate(threads: threads)
    return loss
  }

  @Test("any number of threads gives the same bytes", arguments: 0..<Routers.all.count)
  func threads(_ index: Int) throws {
    let layer = try LayerCase<Float>.random(
      Self.shape, router: Routers.all[index], options: Self.options, tokens: 600, name: "threads")
    func results(_ threads: Int) throws -> [[Float]] {
      layer.layer.standIns?.clear()
      let loss = try run(layer, LayerRandomness(seed: 3, stream: 17), threads: threads)
      return [[Float(loss)], layer.workspace.output.values] + layer.pairs.map { $0.gradient.values }
    }
    let one = try results(1)
    for threads in [2, 3, 7] { #expect(try results(threads) == one, "\(threads) threads") }
  }

  @Test("the order of the tokens does not matter", arguments: 0..<Routers.all.count)
  func tokenPermutation(_ index: Int) throws {
    let router = Routers.all[index]
    guard !router.decidesJointly else { return }  // equally good assignments may differ
    let layer = try LayerCase<Double>.random(
      Self.shape, router: router, options: Self.options, tokens: 23, name: "tokens")
    let order = (0..<23).map { ($0 * 7 + 3) % 23 }
    let input = Tensor<Double>(rows: 23, columns: 6)
    for (k, t) in order.enumerated() { for j in 0..<6 { input[k, j] = layer.input[t, j] } }
    let other = LayerCase(
      MixtureLayer(Self.shape, router: router, options: Self.options), parameters: layer.parameters, input: input,
      losses: order.map { layer.losses[$0] })
    let (a, b) = (try run(layer, nil), try run(other, nil))
    expectClose(a, b, ulps: 64)
    let candidates = layer.outputGradient.rows / 23
    for (k, t) in order.enumerated() {
      for c in 0..<candidates * 6 {
        expectClose(
          other.workspace.output.elements[k * candidates * 6 + c],
          layer.workspace.output.elements[t * candidates * 6 + c], within: 1e-13)
      }
      for j in 0..<6 { expectClose(other.inputGradient[k, j], layer.inputGradient[t, j], within: 1e-13) }
    }
    for (one, two) in zip(layer.gradients.all, other.gradients.all) {
      expectClose(two.tensor.values, one.tensor.values, relative: 1e-13, scale: 1, quantity: one.name)
    }
  }

  @Test("the order of the experts does not matter", arguments: 0..<Routers.all.count)
  func expertPermutation(_ index: Int) throws {
    let router = Routers.all[index]
    guard !router.decidesJointly else { return }
    let layer = try LayerCase<Double>.random(
      Self.shape, router: router, options: Self.options, tokens: 23, name: "experts")
    let order = [3, 0, 4, 1, 2]  // expert k of the other layer is order[k]
    let parameters = LayerParameters<Double>(Self.shape)
    for (from, to) in zip(layer.parameters.all, parameters.all) {
      let rows = from.name == "scale" ? 1 : from.tensor.count / 5
      for k in 0..<from.tensor.count {
        to.tensor.elements[k] = from.tensor.elements[from.name == "scale" ? k : order[k / rows] * rows + k % rows]
      }
    }
    let other = LayerCase(
      MixtureLayer(Self.shape, router: router, options: Self.options), parameters: parameters, input: layer.input,
      losses: layer.losses)
    expectClose(try run(layer, nil), try run(other, nil), ulps: 64)
    expectClose(
      other.inputGradient.values, layer.inputGradient.values, relative: 1e-13, scale: 1, quantity: "input")
    for (one, two) in zip(layer.gradients.all, other.gradients.all) {
      let rows = one.tensor.count / 5
      let expected =
        one.name == "scale"
        ? one.tensor.values : (0..<one.tensor.count).map { one.tensor.elements[order[$0 / rows] * rows + $0 % rows] }
      expectClose(two.tensor.values, expected, relative: 1e-13, scale: 1, quantity: one.name)
    }
  }

  @Test("experts that no token goes to get no gradient")
  func unused() throws {
    let layer = try LayerCase<Double>.random(
      Self.shape, router: SparseMixerRouter(), options: Self.options, tokens: 40, name: "unused")
    try #require(layer.parameters.routerBias)[0, 2] = -100
    _ = try run(layer, LayerRandomness(seed: 5))
    #expect(layer.workspace.loads[2] == 0)
    for (name, tensor) in layer.gradients.all where name.hasPrefix("experts") {
      let rows = tensor.count / 5
      #expect((0..<rows).allSatisfy { tensor.elements[2 * rows + $0] == 0 }, "\(name)")
    }
  }

  @Test("a capacity beyond all tokens is none, however large the factor", arguments: [1e3, 1e19, 1e308, .infinity])
  func unlimitedCapacity(factor: Double) throws {
    func values(_ factor: Double?) throws -> [Double] {
      let layer = try LayerCase<Double>.random(
        Self.shape, router: SwitchRouter(jitter: .none), options: LayerOptions(residual: true, capacityFactor: factor),
        tokens: 20,
        name: "capacity")
      return [try run(layer, nil)] + layer.workspace.output.values
    }
    #expect(try values(factor) == values(nil))
  }

  @Test("what is dropped for lack of capacity passes through the residual, and is counted")
  func capacity() throws {
    let options = LayerOptions(residual: true, capacityFactor: 0.5)
    let layer = try LayerCase<Double>.random(
      Self.shape, router: SwitchRouter(jitter: .none), options: options, tokens: 40, name: "capacity")
    _ = try run(layer, nil)
    let dropped = (0..<40).filter { layer.workspace.choice[$0] < 0 }
    #expect(layer.workspace.dropped == dropped.count && dropped.count >= 20)
    #expect(layer.workspace.loads.allSatisfy { $0 <= 4 })
    for t in dropped {
      for j in 0..<6 { #expect(layer.workspace.output[t, j] == layer.input[t, j]) }
      #expect(layer.workspace.routerLogitGradients[t * 5..<t * 5 + 5].allSatisfy { $0 == 0 })
    }
  }

  @Test("the auxiliary losses at uniform and at collapsed routing")
  func auxiliary() throws {
    let shape = LayerShape(experts: 4, inputs: 3, hidden: 2, outputs: 3, routerBias: true)
    let options = LayerOptions(loadBalance: 0.5, zLoss: 0.25)
    for tokens in [1, 8, 64] {
      let layer = try LayerCase<Double>.random(
        shape, router: SwitchRouter(jitter: .none), options: options, tokens: tokens, name: "auxiliary")
      layer.parameters.router.clear()
      let bias = try #require(layer.parameters.routerBias)
      bias.clear()
      func losses() throws -> AuxiliaryLosses {
        try layer.layer.forward(
          layer.input.elements, tokens: tokens, parameters: layer.parameters, workspace: layer.workspace,
          randomness: nil)
      }
      // Uniform: every p is ¼, so the loss is α whatever the shares.
      expectClose(try losses().loadBalance, 0.5, ulps: 4)
      let z = 1.3862943611198906
      expectClose(try losses().zLoss, 0.25 * z * z, ulps: 64)  // a sum over the tokens
      // Collapsed: p and share of one expert are 1, so the loss is α N.
      bias[0, 1] = 800
      expectClose(try losses().loadBalance, 2, ulps: 4)
      expectClose(try losses().zLoss, 0.25 * 640_000, ulps: 4)
    }
  }

  @Test("Float agrees with Double", arguments: 0..<Routers.all.count)
  func precision(_ index: Int) throws {
    let router = Routers.all[index]
    let wide = try LayerCase<Double>.random(
      Self.shape, router: router, options: Self.options, tokens: 50, name: "precision")
    // The same numbers in both: what Float holds.
    let parameters = wide.parameters.copy(as: Float.self)
    let input = wide.input.copy(as: Float.self)
    let narrow = LayerCase<Float>(
      MixtureLayer(Self.shape, router: router, options: Self.options), parameters: parameters, input: input,
      losses: wide.losses)
    let exact = LayerCase<Double>(
      MixtureLayer(Self.shape, router: router, options: Self.options), parameters: parameters.copy(as: Double.self),
      input: input.copy(as: Double.self), losses: wide.losses)
    let randomness = LayerRandomness(seed: 11)
    let (a, b) = (try run(narrow, randomness), try run(exact, randomness))
    #expect(narrow.workspace.choice == exact.workspace.choice)
    // Depths of sums are below 64, so errors are far below 64 units in the last place of the largest entry.
    let unit = Double(Float.ulpOfOne)
    expectClose(a, b, within: 64 * unit * b.magnitude)
    for (one, two) in zip(narrow.pairs, exact.pairs) {
      expectClose(
        one.gradient.values.map(Double.init), two.gradient.values, relative: 64 * unit, scale: 1, quantity: one.name)
    }
  }

  @Test("the residual alone goes through a layer of zeros, forward and back") func zeros() throws {
    let shape = LayerShape(experts: 8, inputs: 16, hidden: 32, outputs: 16, activation: .gelu, scale: true)
    let layer = MixtureLayer<Float>(
      shape, router: SparseMixerRouter(), options: LayerOptions(residual: true, loadBalance: 0.01))
    let workspace = LayerWorkspace(layer, maximumTokens: 64)
    let (parameters, gradients) = (LayerParameters<Float>(shape), LayerParameters<Float>(zeros: shape))
    let (x, dx) = (Tensor<Float>(rows: 64, columns: 16), Tensor<Float>(rows: 64, columns: 16))
    let dy = Tensor<Float>(rows: 64, columns: 16, [Float](repeating: 1, count: 64 * 16))
    try layer.forward(
      x.elements, tokens: 64, parameters: parameters, workspace: workspace, randomness: LayerRandomness(seed: 1),
      threads: 2)
    layer.backward(
      dy.elements, input: x.elements, parameters: parameters, workspace: workspace, gradients: gradients,
      inputGradient: dx.elements, threads: 2)
    #expect(workspace.output.values == x.values && dx.values == dy.values)
  }
}
