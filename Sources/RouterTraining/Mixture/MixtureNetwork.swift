import LayerTensors
import MixtureOfExperts
import RoutingCore

/// The sizes of the network of ``MixtureTask``.
package struct MixtureNetworkShape: Sendable, Equatable {
  /// N.
  package var experts = 8
  /// The width of the trunk.
  package var width = 32
  /// The hidden units of an expert.
  package var hidden = 32
  /// Whether ω is learned.
  package var scale = true

  package init(experts: Int = 8, width: Int = 32, hidden: Int = 32, scale: Bool = true) {
    self.experts = experts
    self.width = width
    self.hidden = hidden
    self.scale = scale
  }

  var layer: LayerShape {
    LayerShape(experts: experts, inputs: width, hidden: hidden, outputs: width, scale: scale)
  }
}

/// The parameters of the network, or their gradient.
struct MixtureNetworkParameters<Scalar: LayerScalar> {
  let input: LinearMap<Scalar>
  let layer: LayerParameters<Scalar>
  let head: LinearMap<Scalar>
  let students: StudentExperts<Scalar>?

  init(_ shape: MixtureNetworkShape, students rank: Int?) {
    input = LinearMap(inputs: MixtureTask.inputs, outputs: shape.width)
    layer = LayerParameters(shape.layer)
    head = LinearMap(inputs: shape.width, outputs: MixtureTask.outputs)
    students = rank.map { StudentExperts(experts: shape.experts, width: shape.width, rank: $0) }
  }

  /// What training begins with: a function of the seed, the same for every router.
  func initialise(seed: UInt64) {
    var random = Philox(seed: seed, stream: 1 << 62 | 2)
    let shape = layer.shape
    input.initialise(&random)
    let width = Double(shape.inputs).squareRoot()
    layer.router.fill(random.uniforms(layer.router.count, bound: 1 / width))
    layer.weights1.fill(random.normals(layer.weights1.count, deviation: 1 / width))
    layer.weights2.fill(random.normals(layer.weights2.count, deviation: 1 / Double(shape.hidden).squareRoot()))
    head.initialise(&random)
    students?.initialise(&random)
  }

  /// Every tensor, with its name and what its learning rate is multiplied by.
  var all: [(name: String, tensor: Tensor<Scalar>, rate: Double)] {
    var all: [(String, Tensor<Scalar>, Double)] = [
      ("input.weight", input.weights, 1), ("input.bias", input.biases, 1),
      ("head.weight", head.weights, 1), ("head.bias", head.biases, 1),
    ]
    all += layer.all.map { ("layer.\($0.name)", $0.tensor, 1) }
    if let students { all += students.all.map { ("students.\($0.name)", $0.tensor, StudentExperts<Scalar>.rate) } }
    return all
  }
}

/// `u = W x + b`, `h = LayerNorm(u)`, `v = u + MoE(h)`, and a linear head on v (in classification on LayerNorm(v)); with its loss
/// and all gradients.
///
/// The same code computes in Float for training and in Double for gradient checks.
final class MixtureNetwork<Scalar: LayerScalar> {
  let kind: MixtureTask.Kind
  let router: TrainingRouter
  let shape: MixtureNetworkShape
  let parameters: MixtureNetworkParameters<Scalar>
  let gradients: MixtureNetworkParameters<Scalar>
  let layer: MixtureLayer<Scalar>
  let workspace: LayerWorkspace<Scalar>
  let tokens: Int

  /// x, u, h, v, the head's input, its output; and their gradients.
  private let x, u, h, v, z, output: Tensor<Scalar>
  private let outputGradient, vGradient, hGradient: Tensor<Scalar>
  private let uInverses, vInverses: Tensor<Scalar>
  /// a, `[tokens, experts]`.
  private let contrasts: UnsafeMutablePointer<Double>
  private let tokenLosses: UnsafeMutablePointer<Double>
  /// All experts, for the exact router gradient.
  private let everyExpert: (layer: MixtureLayer<Scalar>, workspace: LayerWorkspace<Scalar>)?
  /// What follows the layer, on candidates for its output: one for each expert.
  private let downstream: Downstream<Scalar>?

  init(
    _ kind: MixtureTask.Kind, router: TrainingRouter, shape: MixtureNetworkShape, auxiliary: AuxiliaryWeights,
    tokens: Int
  ) {
    self.kind = kind
    self.router = router
    self.shape = shape
    self.tokens = tokens
    let width = shape.width
    parameters = MixtureNetworkParameters(shape, students: router.studentRank)
    gradients = MixtureNetworkParameters(shape, students: router.studentRank)
    layer = MixtureLayer(
      shape.layer, router: router.tokenRouter,
      options: LayerOptions(loadBalance: auxiliary.loadBalance, zLoss: auxiliary.zLoss))
    workspace = LayerWorkspace(layer, maximumTokens: tokens)
    func tensor(_ columns: Int) -> Tensor<Scalar> { Tensor(rows: tokens, columns: columns) }
    x = tensor(MixtureTask.inputs)
    (u, h, v, z) = (tensor(width), tensor(width), tensor(width), tensor(width))
    output = tensor(MixtureTask.outputs)
    outputGradient = tensor(MixtureTask.outputs)
    (vGradient, hGradient) = (tensor(width), tensor(width))
    (uInverses, vInverses) = (tensor(1), tensor(1))
    contrasts = .allocate(capacity: max(tokens * shape.experts, 1))
    contrasts.initialize(repeating: 0, count: max(tokens * shape.experts, 1))
    tokenLosses = .allocate(capacity: max(tokens, 1))
    tokenLosses.initialize(repeating: 0, count: max(tokens, 1))
    if case .exact = router.contrast {
      let layer = MixtureLayer<Scalar>(shape.layer, router: ExactRouter())
      everyExpert = (layer, LayerWorkspace(layer, maximumTokens: tokens))
    } else {
      everyExpert = nil
    }
    downstream = router.contrast.map {
      Downstream(kind, width: width, rows: tokens * ($0 == .null ? 1 : shape.experts))
    }
  }

  deinit {
    contrasts.deallocate()
    tokenLosses.deallocate()
  }

  /// Loss and, with `gradients`, all gradients.
  ///
  /// - Parameters:
  ///   - batch: at most `tokens` tokens.
  ///   - randomness: nil as at evaluation, without noise.
  ///   - isTraining: whether gradients are wanted.
  /// - Returns: the mean loss of the task over the tokens, and the load-balancing loss.
  @discardableResult
  func run(
    _ batch: MixtureTask.Batch, randomness: LayerRandomness?, isTraining: Bool
  ) throws(Refusal) -> (loss: Double, auxiliary: Double) {
    let count = batch.inputs.count / MixtureTask.inputs
    precondition(count <= tokens, "\(count) tokens are more than \(tokens)")
    for i in 0..<batch.inputs.count { x.elements[i] = Scalar(batch.inputs[i]) }
    parameters.input.forward(x.elements, rows: count, to: u.elements)
    LayerNorm.forward(u.elements, rows: count, width: shape.width, to: h.elements, inverses: uInverses.elements)
    let auxiliary = try layer.forward(
      h.elements, tokens: count, parameters: parameters.layer, workspace: workspace, randomness: randomness)
    for i in 0..<count * shape.width { v.elements[i] = u.elements[i] + workspace.output.elements[i] }
    let head = Head(kind: kind, map: parameters.head, width: shape.width)
    head.forward(v.elements, rows: count, z: z.elements, inverses: vInverses.elements, to: output.elements)
    let loss = head.losses(
      output.elements, batch, rows: 0..<count, per: 1, scale: 1 / Double(count), losses: tokenLosses,
      gradient: outputGradient.elements)
    guard isTraining else { return (loss, auxiliary.sum) }
    parameters.head.backward(
      outputGradient.elements, x: kind == .classification ? z.elements : v.elements, rows: count,
      gradient: gradients.head, dx: nil)
    head.backward(
      outputGradient.elements, rows: count, z: z.elements, inverses: vInverses.elements, scratch: hGradient.elements,
      to: vGradient.elements)
    try contrast(batch, count: count)
    if let students = parameters.students, let gradient = gradients.students {
      students.differentiate(h, workspace, count: count, gradient: gradient)
    }
    layer.backward(
      vGradient.elements, losses: router.contrast == nil ? tokenLosses : contrasts, input: h.elements,
      parameters: parameters.layer, workspace: workspace, gradients: gradients.layer,
      inputGradient: hGradient.elements)
    LayerNorm.addBackward(
      hGradient.elements, y: h.elements, inverses: uInverses.elements, rows: count, width: shape.width,
      to: vGradient.elements)
    parameters.input.backward(
      vGradient.elements, x: x.elements, rows: count, gradient: gradients.input, dx: nil)
    return (loss, auxiliary.sum)
  }

  /// a of the routers that are given it: `a_D = L + y·∂L/∂y` at `y = p_D f_D`, the others likewise at what stands for `p_i f_i`.
  private func contrast(_ batch: MixtureTask.Batch, count: Int) throws(Refusal) {
    guard let contrast = router.contrast, let downstream else { return }
    let (n, width) = (shape.experts, shape.width)
    let candidates = downstream.candidates
    switch contrast {
    case .null:
      candidates.clear()
    case .exact:
      guard let everyExpert else { return }
      try everyExpert.layer.forward(
        h.elements, tokens: count, parameters: parameters.layer, workspace: everyExpert.workspace, randomness: nil)
      candidates.elements.update(from: everyExpert.workspace.output.elements, count: count * n * width)
    case .students(let top):
      parameters.students?.outputs(
        h, workspace, scale: parameters.layer.scale, count: count, top: top, to: candidates)
    }
    let per = contrast == .null ? 1 : n
    downstream.evaluate(u, batch, count: count, per: per, head: parameters.head)
    for t in 0..<count {
      let row = contrasts + t * n
      for i in 0..<n { row[i] = downstream.contrasts[t * per + (per == 1 ? 0 : i)] }
      let chosen = Int(workspace.chosenExpert(t))
      let (y, gradient) = (workspace.output.elements + t * width, vGradient.elements + t * width)
      row[chosen] = tokenLosses[t] + Double(Scalar.dot(y, gradient, scale: nil, count: width))
    }
  }
}
