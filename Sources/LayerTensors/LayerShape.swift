/// The sizes and parts of a layer of experts: `f_i(x) = W₂ act(W₁ x + b₁) + b₂`, routed by `θ = W x + b`.
public struct LayerShape: Sendable, Equatable {
  /// N.
  public var experts: Int
  /// d, the length of an input.
  public var inputs: Int
  /// h, the number of hidden units of an expert.
  public var hidden: Int
  /// e, the length of an output.
  public var outputs: Int
  /// The activation of the hidden units.
  public var activation: Activation
  /// Whether the router has b.
  public var routerBias: Bool
  /// Whether the experts have b₁.
  public var hiddenBias: Bool
  /// Whether the experts have b₂.
  public var outputBias: Bool
  /// Whether there is a learned scale ω.
  public var scale: Bool

  /// Describes a layer.
  public init(
    experts: Int, inputs: Int, hidden: Int, outputs: Int, activation: Activation = .relu, routerBias: Bool = false,
    hiddenBias: Bool = true, outputBias: Bool = true, scale: Bool = false
  ) {
    precondition(
      min(experts, inputs, hidden, outputs) >= 1,
      "a layer has experts, inputs, hidden units and outputs, got \(experts), \(inputs), \(hidden), \(outputs)")
    self.experts = experts
    self.inputs = inputs
    self.hidden = hidden
    self.outputs = outputs
    self.activation = activation
    self.routerBias = routerBias
    self.hiddenBias = hiddenBias
    self.outputBias = outputBias
    self.scale = scale
  }
}

/// The parameters of a layer, or their gradient, which has the same shape.
public struct LayerParameters<Scalar: LayerScalar>: Sendable {
  /// What is in it.
  public let shape: LayerShape
  /// W, `[experts, inputs]`.
  public let router: Tensor<Scalar>
  /// b, `[1, experts]`.
  public let routerBias: Tensor<Scalar>?
  /// W₁ of every expert, one below the other, `[experts · hidden, inputs]`.
  public let weights1: Tensor<Scalar>
  /// b₁, `[experts, hidden]`.
  public let biases1: Tensor<Scalar>?
  /// W₂ of every expert, one below the other, `[experts · outputs, hidden]`.
  public let weights2: Tensor<Scalar>
  /// b₂, `[experts, outputs]`.
  public let biases2: Tensor<Scalar>?
  /// ω, `[1, outputs]`.
  public let scale: Tensor<Scalar>?

  /// Parameters that are zero, but for ω, which is one.
  public init(_ shape: LayerShape) {
    self.init(zeros: shape)
    if let scale { scale.elements.update(repeating: 1, count: scale.count) }
  }

  /// All zero: room for a gradient.
  public init(zeros shape: LayerShape) {
    self.shape = shape
    let n = shape.experts
    router = Tensor(rows: n, columns: shape.inputs)
    routerBias = shape.routerBias ? Tensor(rows: 1, columns: n) : nil
    weights1 = Tensor(rows: n * shape.hidden, columns: shape.inputs)
    biases1 = shape.hiddenBias ? Tensor(rows: n, columns: shape.hidden) : nil
    weights2 = Tensor(rows: n * shape.outputs, columns: shape.hidden)
    biases2 = shape.outputBias ? Tensor(rows: n, columns: shape.outputs) : nil
    scale = shape.scale ? Tensor(rows: 1, columns: shape.outputs) : nil
  }

  /// Every tensor with its name in files, those that exist.
  public var all: [(name: String, tensor: Tensor<Scalar>)] {
    let all: [(String, Tensor<Scalar>?)] = [
      ("router.weight", router), ("router.bias", routerBias), ("experts.w1", weights1), ("experts.b1", biases1),
      ("experts.w2", weights2), ("experts.b2", biases2), ("scale", scale),
    ]
    return all.compactMap { name, tensor in tensor.map { (name, $0) } }
  }

  /// The same numbers in another precision.
  public func copy<Other: LayerScalar>(as type: Other.Type = Scalar.self) -> LayerParameters<Other> {
    let copy = LayerParameters<Other>(zeros: shape)
    for (from, to) in zip(all, copy.all) {
      for i in 0..<from.tensor.count { to.tensor.elements[i] = Other(from.tensor.elements[i]) }
    }
    return copy
  }
}
