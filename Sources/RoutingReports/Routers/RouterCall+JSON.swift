import FileFormats
import RouterSpecifications
import RoutingCore

// A call as a line of the exchange, and of golden vectors. −∞ among the logits is null; what is left out, or null, is not
// given.

extension RouterCall {
  static let fieldNames = [
    "mode", "logits", "expertOutputs", "upstream", "uniforms", "normals", "noiseLogits", "bias", "choice",
    "expertScales", "inputs", "functions", "sequences", "globalTokens", "globalCounts",
  ]

  /// A call; whether its lists have the lengths that a router needs, `validate(for:)` says.
  ///
  /// - Parameters:
  ///   - value: an object.
  ///   - others: fields that it may have besides.
  package init(_ value: JSONValue, besides others: [String] = []) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a call", only: ["call"] + Self.fieldNames + others)
    func rows(_ key: String) throws(InvalidInput) -> [[Double]]? {
      try fields.isGiven(key) ? try fields.value(key, "lists of numbers").rows(key) : nil
    }
    func row(_ key: String) throws(InvalidInput) -> [Double]? {
      try fields.isGiven(key) ? try fields.numbers(key) : nil
    }
    let logits = try fields.value("logits", "lists of numbers").rows("logits")
    self.init(
      mode: try fields.word("mode"), logits: logits.map { row in row.map { $0.isNaN ? -.infinity : $0 } },
      expertOutputs: try fields.value("expertOutputs", "lists of lists").lists(3, "expertOutputs").map(\.rows),
      upstream: try fields.value("upstream", "lists of numbers").rows("upstream"),
      uniforms: try rows("uniforms") ?? logits.map { _ in [] })
    normals = try rows("normals")
    noiseLogits = try rows("noiseLogits")
    bias = try row("bias")
    if try fields.isGiven("choice") { choice = try fields.value("choice", "lists of experts").experts("choice") }
    expertScales = try row("expertScales")
    inputs = try rows("inputs")
    if try fields.isGiven("functions") {
      functions = try fields.list("functions", "a list of experts", ExpertFunction.init(_:))
    }
    if let numbers = try row("sequences") {
      sequences = try numbers.wholeNumbers("sequences", "the number of a sequence")
    }
    globalTokens = try fields.given("globalTokens") { (fields, key) throws(InvalidInput) in try fields.integer(key) }
    globalCounts = try row("globalCounts")
  }

  /// The call, its fields behind others.
  package func json(number: Int) -> JSONValue {
    .object([.init(key: "call", value: JSONValue(number))] + members)
  }

  /// The fields of the call.
  var members: [JSONValue.Member] {
    var fields: [(String, JSONValue)] = [
      ("mode", .string(mode.rawValue)), ("logits", .rows(logits)),
      ("expertOutputs", .array(expertOutputs.map { .rows($0) })), ("upstream", .rows(upstream)),
      ("uniforms", .rows(uniforms)),
    ]
    func add(_ key: String, _ value: JSONValue?) { if let value { fields.append((key, value)) } }
    add("normals", normals.map { .rows($0) })
    add("noiseLogits", noiseLogits.map { .rows($0) })
    add("bias", bias.map { JSONValue($0) })
    add("choice", choice.map { .rows($0.map { $0.map(Double.init) }) })
    add("expertScales", expertScales.map { JSONValue($0) })
    add("inputs", inputs.map { .rows($0) })
    add("functions", functions.map { .array($0.map(\.json)) })
    add("sequences", sequences.map { JSONValue($0) })
    add("globalTokens", globalTokens.map { JSONValue($0) })
    add("globalCounts", globalCounts.map { JSONValue($0) })
    return fields.map { .init(key: $0.0, value: $0.1) }
  }
}

extension RouterCall.ExpertFunction {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "an expert", only: ["inner", "outer", "offset"])
    self.init(
      inner: try fields.rows("inner"), outer: try fields.rows("outer"), offset: try fields.numbers("offset"))
  }

  fileprivate var json: JSONValue { ["inner": .rows(inner), "outer": .rows(outer), "offset": JSONValue(offset)] }
}
