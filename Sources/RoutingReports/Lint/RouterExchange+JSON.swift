import FileFormats
import RoutingCore
import RoutingVerification

// The lines of the exchange. A number that is not finite is null: −∞ among the logits of a call, any such number in an
// answer.

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

extension RouterCall {
  init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a call", only: ["call", "mode", "logits", "expertOutputs", "upstream", "uniforms"])
    let mode = Mode(rawValue: try fields.word("mode", among: Mode.allCases.map(\.rawValue))) ?? .train
    let uniforms = try fields.value("uniforms", "lists of numbers").lists(2, "uniforms")
    self.init(
      mode: mode,
      logits: try fields.value("logits", "lists of numbers").rows("logits").map { row in
        row.map { $0.isNaN ? -.infinity : $0 }
      },
      expertOutputs: try fields.value("expertOutputs", "lists of lists").lists(3, "expertOutputs").map(\.rows),
      upstream: try fields.value("upstream", "lists of numbers").rows("upstream"), uniforms: uniforms.map(\.numbers))
  }

  func json(number: Int) -> JSONValue {
    [
      "call": JSONValue(number), "mode": .string(mode.rawValue), "logits": .rows(logits),
      "expertOutputs": .array(expertOutputs.map { .rows($0) }), "upstream": .rows(upstream),
      "uniforms": .rows(uniforms),
    ]
  }
}

extension RouterAnswer {
  init(_ value: JSONValue) throws(InvalidInput) {
    let names = ["gradient", "output", "dispatch", "logitsAfter"]
    let fields = try JSONFields(
      value, of: "an answer", only: ["call", "choice", "multipliers"] + names + ["expertInputs", "auxiliaryLoss"])
    var optional: [String: [[Double]]] = [:]
    for name in names where fields.has(name) {
      let value = try fields.value(name, "lists of numbers")
      if value != .null { optional[name] = try value.rows(name) }
    }
    var choice: [[Int]] = []
    for (t, row) in try fields.value("choice", "lists of experts").rows("choice").enumerated() {
      var experts: [Int] = []
      for (a, number) in row.enumerated() {
        guard let expert = Int(exactly: number) else {
          throw InvalidInput("choice[\(t)][\(a)]", "expected an expert's index, got \(number)")
        }
        experts.append(expert)
      }
      choice.append(experts)
    }
    self.init(
      choice: choice, multipliers: try fields.value("multipliers", "lists of numbers").rows("multipliers"),
      gradient: optional["gradient"], output: optional["output"], dispatch: optional["dispatch"],
      logitsAfter: optional["logitsAfter"].map { $0.map { row in row.map { $0.isNaN ? -.infinity : $0 } } })
    if fields.has("expertInputs"), case let inputs = try fields.value("expertInputs", "lists of lists"), inputs != .null
    {
      expertInputs = try inputs.lists(3, "expertInputs").map(\.rows)
    }
    if fields.has("auxiliaryLoss") {
      let isNull = try fields.value("auxiliaryLoss", "a number") == .null
      auxiliaryLoss = isNull ? .nan : try fields.number("auxiliaryLoss")
    }
  }

  func json(number: Int) -> JSONValue {
    func rows(_ rows: [[Double]]?) -> JSONValue { rows.map { .rows($0) } ?? .null }
    var fields: [JSONValue.Member] = [
      .init(key: "call", value: JSONValue(number)),
      .init(key: "choice", value: .rows(choice.map { $0.map(Double.init) })),
      .init(key: "multipliers", value: .rows(multipliers)),
      .init(key: "gradient", value: rows(gradient)), .init(key: "output", value: rows(output)),
      .init(key: "dispatch", value: rows(dispatch)),
      .init(key: "expertInputs", value: expertInputs.map { .array($0.map { .rows($0) }) } ?? .null),
      .init(key: "logitsAfter", value: rows(logitsAfter)),
    ]
    if let auxiliaryLoss {
      fields.append(.init(key: "auxiliaryLoss", value: auxiliaryLoss.isFinite ? .number(auxiliaryLoss) : .null))
    }
    return .object(fields)
  }
}

// MARK: - Lists of lists in which null stands for what is not finite

/// A nested list of numbers.
private indirect enum NestedList {
  case row([Double])
  case list([NestedList])

  var numbers: [Double] { if case .row(let row) = self { row } else { [] } }
  var rows: [[Double]] { if case .list(let items) = self { items.map(\.numbers) } else { [] } }
}

extension JSONValue {
  /// Lists of numbers.
  fileprivate static func rows(_ rows: [[Double]]) -> JSONValue {
    .array(
      rows.map { row in
        row.allSatisfy(\.isFinite) && !row.isEmpty
          ? .numbers(row) : .array(row.map { $0.isFinite ? .number($0) : .null })
      })
  }

  /// Lists of numbers; null is NaN.
  fileprivate func rows(_ path: String) throws(InvalidInput) -> [[Double]] { try lists(2, path).map(\.numbers) }

  /// The items of a list of the given depth.
  fileprivate func lists(_ depth: Int, _ path: String) throws(InvalidInput) -> [NestedList] {
    guard case .array(let values) = self else {
      throw InvalidInput(path, "expected a list of lists, got \(kind)")
    }
    var items: [NestedList] = []
    for (k, value) in values.enumerated() {
      let place = "\(path)[\(k)]"
      items.append(depth > 2 ? .list(try value.lists(depth - 1, place)) : .row(try value.row(place)))
    }
    return items
  }

  private func row(_ path: String) throws(InvalidInput) -> [Double] {
    switch self {
    case .numbers(let numbers): return numbers
    case .array(let values):
      var row: [Double] = []
      for (k, value) in values.enumerated() {
        switch value {
        case .number(let number): row.append(number)
        case .null: row.append(.nan)
        default: throw InvalidInput("\(path)[\(k)]", "expected a number or null, got \(value.kind)")
        }
      }
      return row
    default: throw InvalidInput(path, "expected a list of numbers, got \(kind)")
    }
  }
}
