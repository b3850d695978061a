import FileFormats
import RouterSpecifications
import RoutingCore

// An answer as a line of the exchange, and of golden vectors. A number that is not finite is null.

extension RouterAnswer {
  static let fieldNames = [
    "choice", "multipliers", "gradient", "output", "dispatch", "expertInputs", "logitsAfter", "auxiliaryLoss",
    "auxiliaryGradient", "noiseGradient", "biasAfter",
  ]

  /// An answer; whether its lists have the lengths that the call asks for is left to `requireFit`.
  package init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(value, of: "an answer", only: ["call"] + Self.fieldNames)
    func rows(_ key: String) throws(InvalidInput) -> [[Double]]? {
      try fields.isGiven(key) ? try fields.value(key, "lists of numbers").rows(key) : nil
    }
    self.init(
      choice: try fields.value("choice", "lists of experts").experts("choice"),
      multipliers: try fields.value("multipliers", "lists of numbers").rows("multipliers"),
      gradient: try rows("gradient"), output: try rows("output"), dispatch: try rows("dispatch"),
      logitsAfter: try rows("logitsAfter").map { $0.map { row in row.map { $0.isNaN ? -.infinity : $0 } } })
    if try fields.isGiven("expertInputs") {
      expertInputs = try fields.value("expertInputs", "lists of lists").lists(3, "expertInputs").map(\.rows)
    }
    // A loss that is null is one that is not finite.
    if fields.has("auxiliaryLoss") {
      auxiliaryLoss = try fields.isGiven("auxiliaryLoss") ? try fields.number("auxiliaryLoss") : .nan
    }
    auxiliaryGradient = try rows("auxiliaryGradient")
    noiseGradient = try rows("noiseGradient")
    if try fields.isGiven("biasAfter") {
      biasAfter = try fields.value("biasAfter", "a list of numbers").row("biasAfter")
    }
  }

  /// The answer to the call of a number; null for what an answer of any router may have and this one has not.
  package func json(number: Int) -> JSONValue {
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
    func add(_ key: String, _ value: JSONValue?) { if let value { fields.append(.init(key: key, value: value)) } }
    add("auxiliaryLoss", auxiliaryLoss.map { $0.isFinite ? .number($0) : .null })
    add("auxiliaryGradient", auxiliaryGradient.map { .rows($0) })
    add("noiseGradient", noiseGradient.map { .rows($0) })
    add("biasAfter", biasAfter.map { .row($0) })
    return .object(fields)
  }
}

extension RouterAnswer {
  /// The answer to the call of a number, as a line of the exchange without its line feed.
  public func line(number: Int) -> String { JSONWriter.line(json(number: number)) }
}
