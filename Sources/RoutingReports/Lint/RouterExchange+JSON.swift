import FileFormats
import RoutingCore
import RoutingVerification

// The first two lines of the exchange; calls and answers are in RouterCall+JSON.swift and RouterAnswer+JSON.swift.

extension RouterExchange.Greeting {
  init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "a greeting", only: ["schema", "experts", "topK", "seed"])
    _ = try fields.word("schema", among: [RouterExchange.schema])
    let topK = fields.has("topK") ? try fields.value("topK", "a whole number") : .null
    self.init(experts: try fields.integer("experts"), topK: topK == .null ? nil : try fields.integer("topK"))
    guard let seed = UInt64(try fields.string("seed")) else {
      throw InvalidInput("seed", "expected a whole number from 0 to 2⁶⁴ − 1 in a string")
    }
    self.seed = seed
  }

  /// The seed is a string, because many readers take numbers for Float64.
  var json: JSONValue {
    [
      "schema": .string(RouterExchange.schema), "experts": JSONValue(experts), "topK": JSONValue(topK),
      "seed": .string("\(seed)"),
    ]
  }
}

extension RouterProfile {
  init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a profile",
      only: [
        "name", "experts", "topK", "uniforms", "takes", "gates", "mask", "outputScales", "gradientFactor", "jitter",
        "auxiliaryLoss", "capacity", "routesJointly", "mayChooseFewer", "precision",
      ])
    /// Whether a field that may be null or left out is there.
    func has(_ key: String) throws(InvalidInput) -> Bool {
      fields.has(key) ? try fields.value(key, "") != .null : false
    }
    func word<Word: RawRepresentable & CaseIterable>(
      _ key: String, else standard: Word
    ) throws(InvalidInput) -> Word where Word.RawValue == String {
      guard try has(key) else { return standard }
      return Word(rawValue: try fields.word(key, among: Word.allCases.map(\.rawValue))) ?? standard
    }
    self.init(
      name: try fields.string("name").clipped(to: 60), experts: try fields.integer("experts"),
      topK: try fields.integer("topK"))
    if try has("uniforms") { uniforms = try fields.integer("uniforms") }
    takes = try word("takes", else: .logits)
    gates = try word("gates", else: .other)
    precision = try word("precision", else: .float64)
    if try has("mask") { mask = try Self.inside("mask", fields, Mask.init(_:)) }
    if try has("outputScales") { outputScales = try fields.numbers("outputScales") }
    if try has("gradientFactor") { gradientFactor = try fields.number("gradientFactor") }
    if try has("jitter") { jitter = try Self.inside("jitter", fields, Jitter.init(_:)) }
    if try has("auxiliaryLoss") {
      auxiliaryLoss = try Self.inside("auxiliaryLoss", fields, AuxiliaryLoss.init(_:))
    }
    if try has("capacity") { capacity = try fields.integer("capacity") }
    func flag(_ key: String) throws(InvalidInput) -> Bool {
      guard try has(key) else { return false }
      guard case .bool(let flag) = try fields.value(key, "true or false") else {
        throw InvalidInput(key, "expected true or false")
      }
      return flag
    }
    routesJointly = try flag("routesJointly")
    mayChooseFewer = try flag("mayChooseFewer")
  }

  private static func inside<Part>(
    _ key: String, _ fields: JSONFields, _ decode: (JSONValue) throws(InvalidInput) -> Part
  ) throws(InvalidInput) -> Part {
    let value = try fields.value(key, "an object")
    do throws(InvalidInput) {
      return try decode(value)
    } catch {
      throw error.inside(key)
    }
  }

  var json: JSONValue {
    [
      "name": .string(name), "experts": JSONValue(experts), "topK": JSONValue(topK), "uniforms": JSONValue(uniforms),
      "takes": .string(takes.rawValue), "gates": .string(gates.rawValue),
      "mask": ["rule": .string(mask.rule), "threshold": JSONValue(mask.threshold)],
      "outputScales": JSONValue(outputScales), "gradientFactor": .number(gradientFactor), "jitter": jitter.json,
      "auxiliaryLoss": auxiliaryLoss.map {
        ["coefficient": .number($0.coefficient), "counting": .string($0.counting.rawValue)]
      } ?? .null,
      "capacity": JSONValue(capacity), "routesJointly": .bool(routesJointly), "mayChooseFewer": .bool(mayChooseFewer),
      "precision": .string(precision.rawValue),
    ]
  }
}

extension RouterProfile.Jitter {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "jitter", only: ["on", "width"])
    let width = try fields.number("width")
    self = try fields.word("on", among: ["logits", "input"]) == "input" ? .input(width) : .logits(width)
  }

  fileprivate var json: JSONValue {
    switch self {
    case .none: .null
    case .logits(let width): ["on": "logits", "width": .number(width)]
    case .input(let width): ["on": "input", "width": .number(width)]
    }
  }
}

extension RouterProfile.AuxiliaryLoss {
  fileprivate init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "an auxiliary loss", only: ["coefficient", "counting"])
    let word = try fields.word("counting", among: Counting.allCases.map(\.rawValue))
    self.init(
      coefficient: fields.has("coefficient") ? try fields.number("coefficient") : 1,
      counting: Counting(rawValue: word) ?? .all)
  }
}
