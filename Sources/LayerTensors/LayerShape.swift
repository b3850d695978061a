/// The sizes and parts of a layer of experts: `f_i(x) = W₂ act(W₁ x + b₁) + b₂`, routed by `θ = W x + b`.
package struct LayerShape: Sendable, Equatable {
  /// N.
  package var experts: Int
  /// d, the length of an input.
  package var inputs: Int
  /// h, the number of hidden units of an expert.
  package var hidden: Int
  /// e, the length of an output.
  package var outputs: Int
  /// The activation of the hidden units.
  package var activation: Activation
  /// Whether the router has b.
  package var routerBias: Bool
  /// Whether the experts have b₁.
  package var hiddenBias: Bool
  /// Whether the experts have b₂.
  package var outputBias: Bool
  /// Whether there is a learned scale ω.
  package var scale: Bool

  /// Describes a layer.
  package init(
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
package struct LayerParameters<Scalar: LayerScalar>: Sendable {
  /// What is in it.
  package let shape: LayerShape
  /// W, `[experts, inputs]`.
  package let router: Tensor<Scalar>
  /// b, `[1, experts]`.
  package let routerBias: Tensor<Scalar>?
  /// W₁ of every expert, one below the other, `[experts · hidden, inputs]`.
  package let weights1: Tensor<Scalar>
  /// b₁, `[experts, hidden]`.
  package let biases1: Tensor<Scalar>?
  /// W₂ of every expert, one below the other, `[experts · outputs, hidden]`.
  package let weights2: Tensor<Scalar>
  /// b₂, `[experts, outputs]`.
  package let biases2: Tensor<Scalar>?
  /// ω, `[1, outputs]`.
  package let scale: Tensor<Scalar>?

  /// Parameters that are zero, but for ω, which is one.
  package init(_ shape: LayerShape) {
    self.init(zeros: shape)
    if let scale { scale.elements.update(repeating: 1, count: scale.count) }
  }

  /// All zero: room for a gradient.
  package init(zeros shape: LayerShape) {
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
  package var all: [(name: String, tensor: Tensor<Scalar>)] {
    let all: [(String, Tensor<Scalar>?)] = [
      ("router.weight", router), ("router.bias", routerBias), ("experts.w1", weights1), ("experts.b1", biases1),
      ("experts.w2", weights2), ("experts.b2", biases2), ("scale", scale),
    ]
    return all.compactMap { name, tensor in tensor.map { (name, $0) } }
  }

  /// The same numbers in another precision.
  package func copy<Other: LayerScalar>(as type: Other.Type = Scalar.self) -> LayerParameters<Other> {
    let copy = LayerParameters<Other>(zeros: shape)
    for (from, to) in zip(all, copy.all) {
      for i in 0..<from.tensor.count { to.tensor.elements[i] = Other(from.tensor.elements[i]) }
    }
    return copy
  }
}
