import FileFormats
import RoutingCore

/// The types of objectives and losses, by their names in files.
enum ObjectiveType: String, CaseIterable {
  case linear
  case quadratic
  case separablePower = "separable-power"
  case logCosh = "log-cosh"
  case softmaxCrossEntropy = "softmax-cross-entropy"
  case polynomial
  case tabulated

  /// The `type` of an objective's JSON object.
  init(of value: JSONValue, _ role: String) throws(InvalidInput) {
    let name = try JSONFields(value, of: role).word("type", among: Self.allCases.map(\.rawValue))
    guard let type = ObjectiveType(rawValue: name) else {
      preconditionFailure("the type \(name) is listed and unknown")
    }
    self = type
  }

  /// The function of its JSON object.
  ///
  /// - Throws: `InvalidInput`, with paths within the object; a table is no function.
  static func objective(_ value: JSONValue, _ role: String) throws(InvalidInput) -> any Objective {
    let type = try ObjectiveType(of: value, role)
    func fields(_ names: String...) throws(InvalidInput) -> JSONFields {
      try JSONFields(value, of: "\"\(type.rawValue)\"", only: ["type"] + names)
    }
    switch type {
    case .linear:
      return try Linear(coefficients: try fields("coefficients").numbers("coefficients"))
    case .quadratic:
      let fields = try fields("matrix", "linear")
      return try Quadratic(matrix: try fields.rows("matrix"), linear: try fields.numbers("linear"))
    case .separablePower:
      let fields = try fields("exponent", "targets", "weights")
      return try SeparablePower(
        exponent: try fields.number("exponent"), targets: try fields.numbers("targets"),
        weights: fields.has("weights") ? try fields.numbers("weights") : nil)
    case .logCosh:
      let fields = try fields("scales", "targets")
      return try LogCosh(scales: try fields.numbers("scales"), targets: try fields.numbers("targets"))
    case .softmaxCrossEntropy:
      let fields = try fields("weights", "biases", "label")
      return try SoftmaxCrossEntropy(
        weights: try fields.rows("weights"), biases: try fields.numbers("biases"),
        label: try fields.integer("label"))
    case .polynomial:
      let fields = try fields("coefficients", "direction")
      return try Polynomial(
        coefficients: try fields.numbers("coefficients"), direction: try fields.numbers("direction"))
    case .tabulated:
      throw InvalidInput("type", "expected a function, got a table")
    }
  }
}
