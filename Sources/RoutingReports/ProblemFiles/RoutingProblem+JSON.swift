import FileFormats
import RoutingCore

extension RoutingProblem {
  /// A problem from its JSON object; `schema` has been looked at already.
  init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a problem")
    let kind = try fields.word("kind", among: Kind.allCases.map(\.rawValue))
    self =
      kind == Kind.mixture.rawValue
      ? .mixture(try MixtureProblem(value)) : .categorical(try CategoricalProblem(value))
  }
}

extension CategoricalProblem {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a categorical problem", only: ["schema", "name", "kind", "logits", "objective"])
    let name = fields.has("name") ? try fields.string("name") : nil
    let logits = try fields.numbers("logits")
    let source = try Source(fields.value("objective", "an objective (an object)"))
    try self.init(name: name, logits: logits, source: source)
  }
}

extension CategoricalProblem.Source {
  /// The objective of a JSON text, an object as in a problem file; what is refused is named as it is there.
  package init(json bytes: [UInt8]) throws(InvalidInput) {
    try self.init(ProblemFile.root(of: bytes, inside: "objective"))
  }

  fileprivate init(_ content: JSONValue) throws(InvalidInput) {
    do throws(InvalidInput) {
      self =
        try ObjectiveType(of: content, "an objective") == .tabulated
        ? try Self(table: content) : .objective(try ObjectiveType.objective(content, "an objective"))
    } catch {
      throw error.inside("objective")
    }
  }

  fileprivate init(table: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(table, of: "a tabulated objective", only: ["type", "values", "gradients"])
    self = .table(values: try fields.numbers("values"), gradients: try fields.rows("gradients"))
  }
}

extension MixtureProblem {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a mixture problem",
      only: ["schema", "name", "kind", "logits", "expertOutputs", "scale", "defaultOutputs", "router", "loss"])
    let name = fields.has("name") ? try fields.string("name") : nil
    let logits = try fields.numbers("logits")
    let outputs = fields.has("expertOutputs") ? try fields.rows("expertOutputs") : nil
    let scale = fields.has("scale") ? try fields.numbers("scale") : nil
    let standIns = fields.has("defaultOutputs") ? try fields.rows("defaultOutputs") : nil
    let router = fields.has("router") ? try RouterInput(fields.value("router", "a router (an object)")) : nil
    let source = try Source(fields.value("loss", "a loss (an object)"))
    try self.init(
      name: name, logits: logits, expertOutputs: outputs, scale: scale, standIns: standIns,
      router: router, source: source)
  }
}

extension MixtureProblem.Source {
  /// The loss of a JSON text, an object as in a problem file; what is refused is named as it is there.
  package init(json bytes: [UInt8]) throws(InvalidInput) {
    try self.init(ProblemFile.root(of: bytes, inside: "loss"))
  }

  fileprivate init(_ content: JSONValue) throws(InvalidInput) {
    do throws(InvalidInput) {
      self =
        try ObjectiveType(of: content, "a loss") == .tabulated
        ? .table(try MixtureTable(content)) : .loss(try ObjectiveType.objective(content, "a loss"))
    } catch {
      throw error.inside("loss")
    }
  }
}

extension RouterInput {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    do throws(InvalidInput) {
      let fields = try JSONFields(value, of: "a router", only: ["weight", "bias", "input"])
      try self.init(
        weights: try fields.rows("weight"), biases: fields.has("bias") ? try fields.numbers("bias") : nil,
        input: try fields.numbers("input"))
    } catch {
      throw error.inside("router")
    }
  }
}

extension MixtureTable {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a tabulated loss", only: ["type", "nodes", "values", "slopes", "valueAtZero", "mask"])
    let nodes = try fields.numbers("nodes")
    let values = try fields.rows("values")
    let slopes = try fields.rows("slopes")
    let valueAtZero = try fields.number("valueAtZero")
    let mask: Mask
    let value = try fields.value("mask", "a mask (an object)")
    do throws(InvalidInput) {
      mask = try Mask(value)
    } catch {
      throw error.inside("mask")
    }
    self.init(nodes: nodes, values: values, slopes: slopes, valueAtZero: valueAtZero, mask: mask)
  }
}

extension Mask {
  /// A mask from its JSON object.
  init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a mask", only: ["rule", "threshold"])
    let rule = try fields.word("rule", among: Self.rules)
    var threshold = 0.0
    if rule == Mask.none.rule {
      let value = fields.has("threshold") ? try fields.value("threshold", "null") : .null
      guard value == .null else {
        throw InvalidInput("threshold", "expected null with the rule \"none\", got \(value.kind)")
      }
    } else {
      threshold = try fields.number("threshold")
    }
    guard threshold >= 0 else {
      throw InvalidInput("threshold", "expected a number of at least 0, got \(threshold)")
    }
    guard let mask = Mask(rule: rule, threshold: threshold) else {
      preconditionFailure("the rule \(rule) is listed and unknown")
    }
    self = mask
  }
}
