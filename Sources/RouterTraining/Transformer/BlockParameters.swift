import LayerTensors
import MixtureOfExperts
import RoutingCore

/// Scale and shift of a LayerNorm.
struct NormParameters<Scalar: TransformerScalar> {
  let gain, bias: Tensor<Scalar>

  init(width: Int) {
    gain = Tensor(rows: 1, columns: width)
    bias = Tensor(rows: 1, columns: width)
  }

  func initialise() { gain.elements.update(repeating: 1, count: gain.count) }

  var all: [(name: String, tensor: Tensor<Scalar>)] { [("weight", gain), ("bias", bias)] }
}

extension LinearMap {
  var all: [(name: String, tensor: Tensor<Scalar>)] { [("weight", weights), ("bias", biases)] }
}

/// The parameters of one block, or their gradient.
struct BlockParameters<Scalar: TransformerScalar> {
  /// Before attention, and before the feed-forward layer.
  let norm1, norm2: NormParameters<Scalar>
  /// Queries, keys and values, one below the other, `[3 width, width]`.
  let projection: LinearMap<Scalar>
  let output: LinearMap<Scalar>
  let cross: Cross?
  let feedForward: FeedForward

  /// Attention to a memory.
  struct Cross {
    let norm: NormParameters<Scalar>
    let query: LinearMap<Scalar>
    /// Keys and values, one below the other, `[2 width, width]`.
    let keyValue: LinearMap<Scalar>
    let output: LinearMap<Scalar>
  }

  enum FeedForward {
    case dense(up: LinearMap<Scalar>, down: LinearMap<Scalar>)
    case experts(LayerParameters<Scalar>)
  }

  init(_ shape: TransformerShape, hasExperts: Bool, isCross: Bool, isGradient: Bool) {
    let d = shape.width
    norm1 = NormParameters(width: d)
    norm2 = NormParameters(width: d)
    projection = LinearMap(inputs: d, outputs: 3 * d)
    output = LinearMap(inputs: d, outputs: d)
    cross =
      isCross
      ? Cross(
        norm: NormParameters(width: d), query: LinearMap(inputs: d, outputs: d),
        keyValue: LinearMap(inputs: d, outputs: 2 * d), output: LinearMap(inputs: d, outputs: d)) : nil
    if hasExperts {
      let layer = LayerShape(
        experts: shape.experts, inputs: d, hidden: shape.hidden, outputs: d, routerBias: true, scale: shape.scale)
      feedForward = .experts(isGradient ? LayerParameters(zeros: layer) : LayerParameters(layer))
    } else {
      feedForward = .dense(
        up: LinearMap(inputs: d, outputs: shape.hidden), down: LinearMap(inputs: shape.hidden, outputs: d))
    }
  }

  /// Linear maps as PyTorch's, experts from N(0, 1/fan-in) without biases, as the published Switch example has it.
  func initialise(_ random: inout Philox) {
    norm1.initialise()
    norm2.initialise()
    projection.initialise(&random)
    output.initialise(&random)
    if let cross {
      cross.norm.initialise()
      cross.query.initialise(&random)
      cross.keyValue.initialise(&random)
      cross.output.initialise(&random)
    }
    switch feedForward {
    case .dense(let up, let down):
      up.initialise(&random)
      down.initialise(&random)
    case .experts(let layer):
      let fanIn = Double(layer.shape.inputs).squareRoot()
      layer.router.fill(random.uniforms(layer.router.count, bound: 1 / fanIn))
      if let bias = layer.routerBias { bias.fill(random.uniforms(bias.count, bound: 1 / fanIn)) }
      layer.weights1.fill(random.normals(layer.weights1.count, deviation: 1 / fanIn))
      layer.weights2.fill(random.normals(layer.weights2.count, deviation: 1 / Double(layer.shape.hidden).squareRoot()))
    }
  }

  /// Every tensor with its name.
  var all: [(name: String, tensor: Tensor<Scalar>)] {
    func named(_ prefix: String, _ all: [(name: String, tensor: Tensor<Scalar>)]) -> [(String, Tensor<Scalar>)] {
      all.map { ("\(prefix).\($0.name)", $0.tensor) }
    }
    var list = named("norm1", norm1.all) + named("attention.qkv", projection.all) + named("attention.out", output.all)
    if let cross {
      list += named("cross.norm", cross.norm.all) + named("cross.query", cross.query.all)
      list += named("cross.kv", cross.keyValue.all) + named("cross.out", cross.output.all)
    }
    list += named("norm2", norm2.all)
    switch feedForward {
    case .dense(let up, let down): list += named("up", up.all) + named("down", down.all)
    case .experts(let layer): list += named("switch", layer.all)
    }
    return list
  }
}
