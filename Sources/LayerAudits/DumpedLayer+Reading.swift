package import FileFormats
import LayerTensors
package import RouterSpecifications
import RoutingCore

extension DumpedLayer {
  /// The schemas' names in a file's metadata, the newest last.
  package static let schemas = ["routegrad.layer/1", "routegrad.layer/2"]

  /// What a version of the format has.
  private struct Format {
    let isFirst: Bool
    /// The entries of the metadata, but for notes.
    var entries: [String] { ["schema", "activation", "residual"] + (isFirst ? [] : ["router"]) }
    var activations: [Activation] { isFirst ? [.relu, .gelu, .silu] : Activation.allCases }
    var names: [String] {
      let experts = ["experts.w1", "experts.b1", "experts.w2", "experts.b2"]
      guard !isFirst else {
        return ["input", "router.weight", "router.bias"] + experts + ["scale", "target", "unembedding", "labels"]
      }
      return ["input", "router.weight", "router.bias", "router.selection_bias", "router.expert_scales"] + experts + [
        "experts.w3", "experts.b3", "experts.stand_ins", "shared.w1", "shared.b1", "shared.w2", "shared.b2",
        "shared.w3",
        "shared.b3", "shared.gate", "scale", "target", "unembedding", "labels", "upstream",
      ]
    }
  }

  /// Reads a layer's bytes.
  package init(
    _ bytes: [UInt8], threads: Int = 1,
    specification: (String, _ experts: Int) throws(InvalidInput) -> RouterSpecification
  ) throws(InvalidInput) {
    try self.init(try SafeTensors(bytes), threads: threads, specification: specification)
  }

  /// Reads a layer.
  ///
  /// - Parameters:
  ///   - file: the file.
  ///   - threads: how many threads convert its numbers.
  ///   - specification: what the metadata's entry `router` stands for in a layer of so many experts.
  /// - Throws: `InvalidInput` for the first thing that is wrong.
  package init(
    _ file: SafeTensors, threads: Int = 1,
    specification: (String, _ experts: Int) throws(InvalidInput) -> RouterSpecification
  ) throws(InvalidInput) {
    let metadata = file.metadata
    guard let schema = metadata["schema"], Self.schemas.contains(schema) else {
      let found = metadata["schema"].map { "'\($0.clipped(to: 40))'" } ?? "none"
      throw InvalidInput("__metadata__.schema", "expected '\(Self.schemas.joined(separator: "' or '"))', got \(found)")
    }
    let format = Format(isFirst: schema == Self.schemas[0])
    let unknown = metadata.keys.filter { !format.entries.contains($0) && !$0.hasPrefix("note") }
    if let unknown = unknown.min() {
      throw InvalidInput(
        "__metadata__.\(unknown.clipped(to: 40))",
        "expected no such entry; there are \(format.entries.joined(separator: ", ")), note…")
    }
    guard
      let activation = metadata["activation"].flatMap(Activation.init(rawValue:)),
      format.activations.contains(activation)
    else {
      let names = format.activations.map(\.rawValue)
      throw InvalidInput(
        "__metadata__.activation", "expected \(names.dropLast().joined(separator: ", ")) or \(names[names.count - 1])")
    }
    guard let residual = ["none": false, "add": true][metadata["residual"] ?? ""] else {
      throw InvalidInput("__metadata__.residual", "expected none or add")
    }
    if let unknown = file.tensors.keys.filter({ !format.names.contains($0) }).min() {
      throw InvalidInput(
        unknown.clipped(to: 40), "expected no such tensor; there are \(format.names.joined(separator: ", "))")
    }
    let reader = Reader(file: file, threads: threads)
    let input = try reader.extents("input", rank: 2, "[tokens, inputs]")
    let router = try reader.extents("router.weight", rank: 2, "[experts, inputs]")
    let hidden = try reader.extents("experts.w1", rank: 3, "[experts, hidden, inputs]")
    let output = try reader.extents("experts.w2", rank: 3, "[experts, outputs, hidden]")
    let (t, d, n, h, e) = (input[0], input[1], router[0], hidden[1], output[1])
    shape = LayerShape(
      experts: n, inputs: d, hidden: h, outputs: e, activation: activation, gated: try reader.isGated("experts"),
      routerBias: reader.has("router.bias"), hiddenBias: reader.has("experts.b1"),
      outputBias: reader.has("experts.b2"), scale: reader.has("scale"), shared: try reader.sharedShape())
    if residual, d != e {
      throw InvalidInput("__metadata__.residual", "expected none, as inputs have length \(d) and outputs \(e)")
    }
    self.residual = residual
    self.input = try reader.tensor("input", rows: t, columns: d, [t, d])
    parameters = LayerParameters(zeros: shape)
    for part in parameters.parts { try reader.read(part.name, part.extents, into: part.tensor) }
    self.router = try reader.router(n, specification)
    standIns =
      reader.has("experts.stand_ins") ? try reader.tensor("experts.stand_ins", rows: n, columns: e, [n, e]) : nil
    loss = try reader.loss(tokens: t, outputs: e, isFirst: format.isFirst)
  }
}

/// What is taken from a file, tensor by tensor.
private struct Reader {
  let file: SafeTensors
  let threads: Int

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

  func requireShape(_ name: String, _ shape: [Int]) throws(InvalidInput) {
    guard let found = file.tensors[name]?.shape, found == shape else {
      throw InvalidInput(name, "expected the shape \(shape), got \(file.tensors[name]?.shape ?? [])")
    }
  }

  func read(_ name: String, _ shape: [Int], into tensor: Tensor<Double>) throws(InvalidInput) {
    try requireShape(name, shape)
    try file.read(name, into: tensor.elements, threads: threads)
  }

  func tensor(_ name: String, rows: Int, columns: Int, _ shape: [Int]) throws(InvalidInput) -> Tensor<Double> {
    try requireShape(name, shape)
    let tensor = Tensor<Double>(rows: rows, columns: columns)
    try file.read(name, into: tensor.elements, threads: threads)
    return tensor
  }

  func labels(count: Int, below classes: Int) throws(InvalidInput) -> [Int] {
    try requireShape("labels", [count])
    let labels = try file.integers("labels")
    if let k = labels.firstIndex(where: { !(0..<classes).contains($0) }) {
      throw InvalidInput("labels[\(k)]", "expected a class from 0 to \(classes - 1), got \(labels[k])")
    }
    return labels
  }

  /// Whether experts are gated; b₃ goes with W₃, and with b₁.
  func isGated(_ family: String) throws(InvalidInput) -> Bool {
    let (isGated, hasBias) = (has("\(family).w3"), has("\(family).b1"))
    guard has("\(family).b3") == (isGated && hasBias) else {
      throw InvalidInput(
        "\(family).b3",
        has("\(family).b3")
          ? "expected none without \(family).\(isGated ? "b1" : "w3")" : "expected a tensor, as there is \(family).b1")
    }
    return isGated
  }

  func sharedShape() throws(InvalidInput) -> SharedShape? {
    guard has("shared.w1") else {
      let names = ["b1", "w2", "b2", "w3", "b3", "gate"].map { "shared.\($0)" }
      if let name = names.first(where: { has($0) }) { throw InvalidInput(name, "expected none without shared.w1") }
      return nil
    }
    let extents = try extents("shared.w1", rank: 3, "[shared, hidden, inputs]")
    return SharedShape(
      count: extents[0], hidden: extents[1], gated: try isGated("shared"), hiddenBias: has("shared.b1"),
      outputBias: has("shared.b2"), gate: has("shared.gate"))
  }

  func router(
    _ experts: Int, _ specification: (String, Int) throws(InvalidInput) -> RouterSpecification
  ) throws(InvalidInput) -> LayerRouter? {
    let place = "__metadata__.router"
    var found: RouterSpecification?
    if let text = file.metadata["router"] {
      do throws(InvalidInput) {
        let specification = try specification(text, experts)
        guard specification.experts == experts else {
          throw InvalidInput("experts", "expected \(experts), as router.weight has, got \(specification.experts)")
        }
        found = specification
      } catch { throw error.inside(place) }
    }
    func vector(_ name: String, isRead: Bool, _ field: String) throws(InvalidInput) -> [Double]? {
      guard has(name) == isRead else {
        throw InvalidInput(
          name,
          isRead
            ? "expected a tensor [experts], as the specification has \(field)"
            : "expected none, as \(place) has no \(field)")
      }
      return isRead ? try tensor(name, rows: 1, columns: experts, [experts]).values : nil
    }
    let bias = try vector("router.selection_bias", isRead: found?.hasSelectionBias ?? false, "selectionBias")
    let scales = try vector(
      "router.expert_scales", isRead: found?.gate?.hasExpertScales ?? false, "gate.perExpertScale")
    guard let found else { return nil }
    do throws(InvalidInput) {
      return try LayerRouter(found, selectionBias: bias, expertScales: scales)
    } catch { throw error.inside(place) }
  }

  func loss(tokens t: Int, outputs e: Int, isFirst: Bool) throws(InvalidInput) -> DumpedLayer.Loss {
    let hasClasses = has("unembedding") || has("labels")
    guard [has("target"), hasClasses, has("upstream")].filter(\.self).count == 1 else {
      throw InvalidInput(
        "target", "expected either target, or unembedding and labels" + (isFirst ? "" : ", or upstream"))
    }
    if has("target") { return .squaredError(targets: try tensor("target", rows: t, columns: e, [t, e])) }
    if has("upstream") { return .upstream(try tensor("upstream", rows: t, columns: e, [t, e])) }
    let classes = try extents("unembedding", rank: 2, "[classes, outputs]")[0]
    let labels = try labels(count: t, below: classes)
    return .crossEntropy(
      unembedding: try tensor("unembedding", rows: classes, columns: e, [classes, e]), labels: labels)
  }
}
