import LayerTensors
import MixtureOfExperts
import RoutingCore
import _TestSupport

/// A layer with random parameters and inputs under `Σ_j log cosh(a_j y_j − t_j)` for each token.
struct LayerCase<Scalar: LayerScalar> {
  let layer: MixtureLayer<Scalar>
  let parameters: LayerParameters<Scalar>
  let input: Tensor<Scalar>
  let losses: [LogCosh]
  let workspace: LayerWorkspace<Scalar>
  let outputGradient: Tensor<Scalar>
  let gradients: LayerParameters<Scalar>
  let inputGradient: Tensor<Scalar>
  var tokens: Int { input.rows }

  init(
    _ layer: MixtureLayer<Scalar>, parameters: LayerParameters<Scalar>, input: Tensor<Scalar>, losses: [LogCosh]
  ) {
    self.layer = layer
    self.parameters = parameters
    self.input = input
    self.losses = losses
    workspace = LayerWorkspace(layer, maximumTokens: input.rows)
    let candidates = layer.router.candidates(experts: layer.shape.experts)
    outputGradient = Tensor(rows: input.rows * candidates, columns: layer.shape.outputs)
    gradients = LayerParameters(zeros: layer.shape)
    inputGradient = Tensor(rows: input.rows, columns: layer.shape.inputs)
  }

  /// Random numbers, of a spread at which logits differ and activations bend.
  static func random(
    _ shape: LayerShape, router: any TokenRouter, options: LayerOptions = LayerOptions(), tokens: Int, name: String
  ) throws -> LayerCase {
    var random = TestSeed.generator(name)
    let parameters = LayerParameters<Double>(shape)
    for (_, tensor) in parameters.all {
      let spread = 1 / Double(tensor.columns).squareRoot()
      for k in 0..<tensor.count { tensor.elements[k] = random.nextNormal() * spread }
    }
    for tensor in [parameters.biases1, parameters.biases2, parameters.routerBias].compactMap({ $0 }) {
      for k in 0..<tensor.count { tensor.elements[k] = 0.5 * random.nextNormal() }
    }
    if let scale = parameters.scale { for k in 0..<scale.count { scale.elements[k] = 1 + 0.3 * random.nextNormal() } }
    let input = Tensor<Double>(rows: tokens, columns: shape.inputs, random.normals(tokens * shape.inputs))
    let losses = try (0..<tokens).map { _ in
      try LogCosh(
        scales: random.normals(shape.outputs, spread: 0.3, centre: 1), targets: random.normals(shape.outputs))
    }
    return LayerCase(
      MixtureLayer(shape, router: router, options: options), parameters: parameters.copy(as: Scalar.self),
      input: input.copy(as: Scalar.self), losses: losses)
  }

  /// Forward pass and loss, auxiliary losses included; with several candidates the expected one.
  func loss(_ randomness: LayerRandomness?, threads: Int = 1) throws -> Double {
    let auxiliary = try layer.forward(
      input.elements, tokens: tokens, parameters: parameters, workspace: workspace, randomness: randomness,
      threads: threads)
    var sum = auxiliary.sum
    for (place, value) in ownLosses().enumerated() { sum += weight(place) * value }
    return sum
  }

  /// Backward pass of the last forward pass.
  func differentiate(threads: Int = 1) {
    let values = ownLosses()
    let candidates = values.count / tokens
    for place in values.indices {
      let gradient = losses[place / candidates].gradient(at: output(place))
      for (j, value) in gradient.enumerated() { outputGradient[place, j] = Scalar(value) }
    }
    layer.backward(
      outputGradient.elements, losses: values, input: input.elements, parameters: parameters,
      workspace: workspace, gradients: gradients, inputGradient: inputGradient.elements, threads: threads)
  }

  private func output(_ place: Int) -> [Double] {
    (0..<layer.shape.outputs).map { Double(workspace.output[place, $0]) }
  }

  /// Each candidate's own loss.
  func ownLosses() -> [Double] {
    let candidates = outputGradient.rows / tokens
    return (0..<tokens * candidates).map { losses[$0 / candidates].value(at: output($0)) }
  }

  private func weight(_ place: Int) -> Double {
    outputGradient.rows == tokens ? 1 : workspace.routingProbabilities[place]
  }

  /// Every tensor that a gradient is taken by, next to its gradient.
  var pairs: [(name: String, value: Tensor<Scalar>, gradient: Tensor<Scalar>)] {
    zip(parameters.all, gradients.all).map { ($0.name, $0.tensor, $1.tensor) } + [("input", input, inputGradient)]
  }
}

/// One router of each kind.
enum Routers {
  static let jointlyDeterministic: [any TokenRouter] = [
    SwitchRouter(), SwitchRouter(jitter: .input(0.1)), SwitchRouter(jitter: .none),
    MaskedSwitchRouter(), MaskedSwitchRouter(mask: .paper(threshold: 0.3)), GShardRouter(), BaseRouter(),
    DefaultMoERouter(k: 1, decay: 0.5), DefaultMoERouter(k: 2, decay: 0.9),
  ]
  static let sampled: [any TokenRouter] = [
    SparseMixerRouter(), SparseMixerRouter(mask: .none, argmaxRule: false),
    SparseMixerRouter(mask: .paper(threshold: 0.5)),
    SparseMixerV2Router(), SparseMixerV2Router(mask: .none, argmaxRule: false, referenceConstants: true),
    SparseMixerV2Top2Router(), SparseMixerV2Top2Router(mask: .none), ReinforceRouter(), ReinforceRouter(baseline: 0.7),
    DenseBackwardRouter(), ExactRouter(), ExactRouter(mask: .paper(threshold: 0.4)),
    LossFreeRouter(), LossFreeRouter(jitter: .input(0.1)), GateOneRouter(), GateOneRouter(jitter: .input(0.1)),
  ]
  static let all = jointlyDeterministic + sampled
}
