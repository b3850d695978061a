/// The sizes and parts of a layer of experts: `f_i(x) = W₂ act(W₁ x + b₁) + b₂`, gated `W₂ (act(W₁ x + b₁) ⊙ (W₃ x + b₃)) + b₂`,
/// routed by `θ = W x + b`.
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
  /// Whether the experts have W₃.
  package var isGated: Bool
  /// Whether the router has b.
  package var routerBias: Bool
  /// Whether the experts have b₁, and b₃ if they are gated.
  package var hiddenBias: Bool
  /// Whether the experts have b₂.
  package var outputBias: Bool
  /// Whether there is a learned scale ω.
  package var scale: Bool
  /// The experts that every token has besides, if there are any.
  package var shared: SharedShape?

  /// The number of linear maps' values behind a hidden layer's units: h, or twice that of gated experts.
  package var units: Int { isGated ? 2 * hidden : hidden }

  /// Describes a layer.
  package init(
    experts: Int, inputs: Int, hidden: Int, outputs: Int, activation: Activation = .relu, gated: Bool = false,
    routerBias: Bool = false, hiddenBias: Bool = true, outputBias: Bool = true, scale: Bool = false,
    shared: SharedShape? = nil
  ) {
    precondition(
      min(experts, inputs, hidden, outputs) >= 1,
      "a layer has experts, inputs, hidden units and outputs, got \(experts), \(inputs), \(hidden), \(outputs)")
    self.experts = experts
    self.inputs = inputs
    self.hidden = hidden
    self.outputs = outputs
    self.activation = activation
    self.isGated = gated
    self.routerBias = routerBias
    self.hiddenBias = hiddenBias
    self.outputBias = outputBias
    self.scale = scale
    self.shared = shared
  }
}

/// The sizes and parts of a layer's shared experts; inputs, outputs and activation are the layer's.
///
/// *Source*: DeepSeekMoE (arXiv 2401.06066); with a gate of their own, Qwen2-MoE.
package struct SharedShape: Sendable, Equatable {
  /// How many there are.
  package var count: Int
  /// The number of hidden units of each.
  package var hidden: Int
  /// Whether they have W₃.
  package var isGated: Bool
  /// Whether they have b₁, and b₃ if they are gated.
  package var hiddenBias: Bool
  /// Whether they have b₂.
  package var outputBias: Bool
  /// Whether each is multiplied by `σ(w·x)`.
  package var hasGate: Bool

  /// Describes shared experts.
  package init(
    count: Int, hidden: Int, gated: Bool = false, hiddenBias: Bool = true, outputBias: Bool = true, gate: Bool = false
  ) {
    precondition(min(count, hidden) >= 1, "shared experts have hidden units, got \(count), \(hidden)")
    self.count = count
    self.hidden = hidden
    isGated = gated
    self.hiddenBias = hiddenBias
    self.outputBias = outputBias
    hasGate = gate
  }
}

/// The weights of several experts of one shape, or their gradient.
package struct ExpertWeights<Scalar: LayerScalar>: Sendable {
  /// The number of experts.
  package let count: Int
  /// d, h and e.
  package let inputs, hidden, outputs: Int
  /// W₁ of every expert, one below the other, `[experts · hidden, inputs]`.
  package let weights1: Tensor<Scalar>
  /// b₁, `[experts, hidden]`.
  package let biases1: Tensor<Scalar>?
  /// W₃ of every expert, like W₁.
  package let weights3: Tensor<Scalar>?
  /// b₃, `[experts, hidden]`.
  package let biases3: Tensor<Scalar>?
  /// W₂ of every expert, one below the other, `[experts · outputs, hidden]`.
  package let weights2: Tensor<Scalar>
  /// b₂, `[experts, outputs]`.
  package let biases2: Tensor<Scalar>?

  /// All zero.
  package init(
    count: Int, inputs: Int, hidden: Int, outputs: Int, gated: Bool, hiddenBias: Bool, outputBias: Bool
  ) {
    self.count = count
    self.inputs = inputs
    self.hidden = hidden
    self.outputs = outputs
    weights1 = Tensor(rows: count * hidden, columns: inputs)
    biases1 = hiddenBias ? Tensor(rows: count, columns: hidden) : nil
    weights3 = gated ? Tensor(rows: count * hidden, columns: inputs) : nil
    biases3 = gated && hiddenBias ? Tensor(rows: count, columns: hidden) : nil
    weights2 = Tensor(rows: count * outputs, columns: hidden)
    biases2 = outputBias ? Tensor(rows: count, columns: outputs) : nil
  }

  /// Those that exist, with what follows the family's name in files, and their extents there.
  package var parts: [(name: String, tensor: Tensor<Scalar>, extents: [Int])] {
    let all: [(String, Tensor<Scalar>?, [Int])] = [
      ("w1", weights1, [count, hidden, inputs]), ("b1", biases1, [count, hidden]),
      ("w3", weights3, [count, hidden, inputs]), ("b3", biases3, [count, hidden]),
      ("w2", weights2, [count, outputs, hidden]), ("b2", biases2, [count, outputs]),
    ]
    return all.compactMap { name, tensor, extents in tensor.map { (name, $0, extents) } }
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
  /// The routed experts.
  package let experts: ExpertWeights<Scalar>
  /// ω, `[1, outputs]`.
  package let scale: Tensor<Scalar>?
  /// The shared experts.
  package let shared: ExpertWeights<Scalar>?
  /// The vectors w of their gates `σ(w·x)`, `[shared, inputs]`.
  package let sharedGate: Tensor<Scalar>?

  /// W₁ of every routed expert, one below the other, `[experts · hidden, inputs]`.
  package var weights1: Tensor<Scalar> { experts.weights1 }
  /// b₁, `[experts, hidden]`.
  package var biases1: Tensor<Scalar>? { experts.biases1 }
  /// W₂ of every routed expert, one below the other, `[experts · outputs, hidden]`.
  package var weights2: Tensor<Scalar> { experts.weights2 }
  /// b₂, `[experts, outputs]`.
  package var biases2: Tensor<Scalar>? { experts.biases2 }

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
    experts = ExpertWeights(
      count: n, inputs: shape.inputs, hidden: shape.hidden, outputs: shape.outputs, gated: shape.isGated,
      hiddenBias: shape.hiddenBias, outputBias: shape.outputBias)
    scale = shape.scale ? Tensor(rows: 1, columns: shape.outputs) : nil
    shared = shape.shared.map {
      ExpertWeights(
        count: $0.count, inputs: shape.inputs, hidden: $0.hidden, outputs: shape.outputs, gated: $0.isGated,
        hiddenBias: $0.hiddenBias, outputBias: $0.outputBias)
    }
    sharedGate = shape.shared.flatMap { $0.hasGate ? Tensor(rows: $0.count, columns: shape.inputs) : nil }
  }

  /// Every tensor with its name and its extents in files, those that exist.
  package var parts: [(name: String, tensor: Tensor<Scalar>, extents: [Int])] {
    let (n, d, e) = (shape.experts, shape.inputs, shape.outputs)
    var parts: [(String, Tensor<Scalar>, [Int])] = [("router.weight", router, [n, d])]
    if let routerBias { parts.append(("router.bias", routerBias, [n])) }
    parts += experts.parts.map { ("experts.\($0.name)", $0.tensor, $0.extents) }
    if let scale { parts.append(("scale", scale, [e])) }
    if let shared { parts += shared.parts.map { ("shared.\($0.name)", $0.tensor, $0.extents) } }
    if let sharedGate { parts.append(("shared.gate", sharedGate, [sharedGate.rows, d])) }
    return parts
  }

  /// Every tensor with its name in files, those that exist.
  package var all: [(name: String, tensor: Tensor<Scalar>)] { parts.map { ($0.name, $0.tensor) } }

  /// The same numbers in another precision.
  package func copy<Other: LayerScalar>(as type: Other.Type = Scalar.self) -> LayerParameters<Other> {
    let copy = LayerParameters<Other>(zeros: shape)
    for (from, to) in zip(all, copy.all) {
      for i in 0..<from.tensor.count { to.tensor.elements[i] = Other(from.tensor.elements[i]) }
    }
    return copy
  }
}
