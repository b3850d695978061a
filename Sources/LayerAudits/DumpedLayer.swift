import FileFormats
import LayerTensors
import RoutingCore

/// A layer as another program dumped it, with its input and its loss: `routegrad.layer/1`.
///
/// `y_t = ω ⊙ Σ_i m_i f_i(x_t) (+ x_t)`; the loss is the mean of the tokens' own.
///
/// *Source*: docs/formats.md, "Layer".
public struct DumpedLayer: Sendable {
  /// Sizes and parts.
  package let shape: LayerShape
  /// Whether x_t is added to the output before the loss sees it.
  package let residual: Bool
  /// Router, experts and scale.
  package let parameters: LayerParameters<Double>
  /// x, `[tokens, inputs]`.
  package let input: Tensor<Double>
  /// What the tokens' losses are made of.
  package let loss: Loss

  /// The losses.
  package enum Loss: Sendable {
    /// `½‖y_t − target_t‖²`, the targets `[tokens, outputs]`.
    case squaredError(targets: Tensor<Double>)
    /// `−log softmax(U y_t)[label_t]`, U `[classes, outputs]`.
    case crossEntropy(unembedding: Tensor<Double>, labels: [Int])
  }

  /// T.
  public var tokens: Int { input.rows }

  /// A layer that is there already.
  package init(
    shape: LayerShape, residual: Bool, parameters: LayerParameters<Double>, input: Tensor<Double>, loss: Loss
  ) {
    self.shape = shape
    self.residual = residual
    self.parameters = parameters
    self.input = input
    self.loss = loss
  }
}

extension DumpedLayer {
  /// The schema's name in a file's metadata.
  package static let schema = "routegrad.layer/1"
  private static let names = [
    "input", "router.weight", "router.bias", "experts.w1", "experts.b1", "experts.w2", "experts.b2", "scale",
    "target", "unembedding", "labels",
  ]

  /// Reads a layer.
  ///
  /// - Throws: `InvalidInput` for the first thing that is wrong.
  public init(_ bytes: [UInt8]) throws(InvalidInput) {
    let file = try SafeTensors(bytes)
    try self.init(file)
  }

  /// Reads a layer.
  package init(_ file: SafeTensors) throws(InvalidInput) {
    let metadata = file.metadata
    guard metadata["schema"] == Self.schema else {
      let found = metadata["schema"].map { "'\($0.clipped(to: 40))'" } ?? "none"
      throw InvalidInput("__metadata__.schema", "expected '\(Self.schema)', got \(found)")
    }
    let unknown = metadata.keys.filter { !["schema", "activation", "residual"].contains($0) && !$0.hasPrefix("note") }
    if let unknown = unknown.min() {
      throw InvalidInput(
        "__metadata__.\(unknown.clipped(to: 40))",
        "expected no such entry; there are schema, activation, residual, note…")
    }
    guard let activation = metadata["activation"].flatMap(Activation.init(rawValue:)) else {
      throw InvalidInput("__metadata__.activation", "expected relu, gelu or silu")
    }
    guard let residual = ["none": false, "add": true][metadata["residual"] ?? ""] else {
      throw InvalidInput("__metadata__.residual", "expected none or add")
    }
    if let unknown = file.tensors.keys.filter({ !Self.names.contains($0) }).min() {
      throw InvalidInput(
        unknown.clipped(to: 40), "expected no such tensor; there are \(Self.names.joined(separator: ", "))")
    }
    let reader = Reader(file)
    let input = try reader.extents("input", rank: 2, "[tokens, inputs]")
    let router = try reader.extents("router.weight", rank: 2, "[experts, inputs]")
    let hidden = try reader.extents("experts.w1", rank: 3, "[experts, hidden, inputs]")
    let output = try reader.extents("experts.w2", rank: 3, "[experts, outputs, hidden]")
    let (t, d, n, h, e) = (input[0], input[1], router[0], hidden[1], output[1])
    shape = LayerShape(
      experts: n, inputs: d, hidden: h, outputs: e, activation: activation, routerBias: reader.has("router.bias"),
      hiddenBias: reader.has("experts.b1"), outputBias: reader.has("experts.b2"), scale: reader.has("scale"))
    if residual, d != e {
      throw InvalidInput("__metadata__.residual", "expected none, as inputs have length \(d) and outputs \(e)")
    }
    self.residual = residual
    self.input = Tensor(rows: t, columns: d, try reader.numbers("input", [t, d]))
    parameters = LayerParameters(shape)
    let shapes = [
      "router.weight": [n, d], "router.bias": [n], "experts.w1": [n, h, d], "experts.b1": [n, h],
      "experts.w2": [n, e, h], "experts.b2": [n, e], "scale": [e],
    ]
    for (name, tensor) in parameters.all {
      let values = try reader.numbers(name, shapes[name] ?? [])
      tensor.elements.update(from: values, count: values.count)
    }
    let hasTarget = reader.has("target")
    guard hasTarget != (reader.has("unembedding") || reader.has("labels")) else {
      throw InvalidInput("target", "expected either target, or unembedding and labels")
    }
    if hasTarget {
      loss = .squaredError(targets: Tensor(rows: t, columns: e, try reader.numbers("target", [t, e])))
    } else {
      let classes = try reader.extents("unembedding", rank: 2, "[classes, outputs]")[0]
      let labels = try reader.labels(count: t, below: classes)
      loss = .crossEntropy(
        unembedding: Tensor(rows: classes, columns: e, try reader.numbers("unembedding", [classes, e])),
        labels: labels)
    }
  }

  private struct Reader {
    let file: SafeTensors

    init(_ file: SafeTensors) { self.file = file }

    func has(_ name: String) -> Bool { file.tensors[name] != nil }

    /// The extents of a tensor, none of them 0.
    func extents(_ name: String, rank: Int, _ meaning: String) throws(InvalidInput) -> [Int] {
      guard let shape = file.tensors[name]?.shape else {
        throw InvalidInput(name, "expected a tensor \(meaning), it is missing")
      }
      guard shape.count == rank, shape.allSatisfy({ $0 > 0 && $0 <= Int32.max }) else {
        throw InvalidInput(name, "expected the shape \(meaning), got \(shape)")
      }
      return shape
    }

    func numbers(_ name: String, _ shape: [Int]) throws(InvalidInput) -> [Double] {
      guard let found = file.tensors[name]?.shape, found == shape else {
        throw InvalidInput(name, "expected the shape \(shape), got \(file.tensors[name]?.shape ?? [])")
      }
      return try file.numbers(name)
    }

    func labels(count: Int, below classes: Int) throws(InvalidInput) -> [Int] {
      guard let shape = file.tensors["labels"]?.shape, shape == [count] else {
        throw InvalidInput("labels", "expected the shape [\(count)], got \(file.tensors["labels"]?.shape ?? [])")
      }
      let labels = try file.integers("labels")
      if let k = labels.firstIndex(where: { !(0..<classes).contains($0) }) {
        throw InvalidInput("labels[\(k)]", "expected a class from 0 to \(classes - 1), got \(labels[k])")
      }
      return labels
    }
  }
}
