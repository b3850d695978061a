import RoutingCore

/// A problem as the fixtures write it (`routegrad.problem/1`), decoded by Foundation alone so that the tests
/// of the mathematics do not lean on the product's own reader.
public struct ProblemFile: Decodable, Sendable {
  /// Its name, if it has one.
  public var name: String?
  /// `categorical` or `mixture`.
  public var kind: String
  /// θ.
  public var logits: [Double]
  /// f, on categorical problems.
  public var objective: ObjectiveFile?
  /// g, on mixture problems.
  public var loss: ObjectiveFile?
  /// The expert outputs, on mixture problems.
  public var expertOutputs: [[Double]]?
  /// ω.
  public var scale: [Double]?
  /// The stand-ins of `default-moe`.
  public var defaultOutputs: [[Double]]?

  /// The problem.
  public func problem() throws -> RoutingProblem {
    if kind == "categorical", let objective {
      return .categorical(
        try CategoricalProblem(name: name, logits: logits, objective: try objective.objective()))
    }
    guard kind == "mixture", let loss, let expertOutputs else {
      throw InvalidInput("kind", "expected a problem with an objective or a loss, got \(kind)")
    }
    return .mixture(
      try MixtureProblem(
        name: name, logits: logits, expertOutputs: expertOutputs, scale: scale,
        standIns: defaultOutputs,
        loss: try loss.objective()))
  }
}

/// Many problems in one file (`routegrad.problems/1`).
public struct ProblemsFile: Decodable, Sendable {
  /// The problems.
  public var problems: [ProblemFile]
}

/// An objective or a loss as the fixtures write it.
public struct ObjectiveFile: Decodable, Sendable {
  /// Which of the types it is.
  public var type: String
  /// linear, polynomial.
  public var coefficients: [Double]?
  /// quadratic.
  public var matrix: [[Double]]?
  /// quadratic.
  public var linear: [Double]?
  /// separable-power.
  public var exponent: Double?
  /// separable-power, log-cosh.
  public var targets: [Double]?
  /// log-cosh.
  public var scales: [Double]?
  /// separable-power: one row; softmax-cross-entropy: rows.
  public var weights: Weights?
  /// softmax-cross-entropy.
  public var biases: [Double]?
  /// softmax-cross-entropy.
  public var label: Int?
  /// polynomial.
  public var direction: [Double]?

  /// `weights` is a vector in one type and a matrix in another.
  public enum Weights: Decodable, Sendable {
    case vector([Double])
    case matrix([[Double]])

    public init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let rows = try? container.decode([[Double]].self) {
        self = .matrix(rows)
      } else {
        self = .vector(try container.decode([Double].self))
      }
    }
  }

  /// The objective.
  public func objective() throws -> any Objective {
    switch type {
    case "linear": return try Linear(coefficients: required(coefficients, "coefficients"))
    case "quadratic":
      return try Quadratic(matrix: required(matrix, "matrix"), linear: required(linear, "linear"))
    case "separable-power":
      var vector: [Double]?
      if case .vector(let values) = weights { vector = values }
      return try SeparablePower(
        exponent: required(exponent, "exponent"), targets: required(targets, "targets"), weights: vector)
    case "log-cosh":
      return try LogCosh(scales: required(scales, "scales"), targets: required(targets, "targets"))
    case "softmax-cross-entropy":
      guard case .matrix(let rows) = weights else { throw InvalidInput("weights", "expected rows") }
      return try SoftmaxCrossEntropy(
        weights: rows, biases: required(biases, "biases"), label: required(label, "label"))
    case "polynomial":
      return try Polynomial(
        coefficients: required(coefficients, "coefficients"), direction: required(direction, "direction"))
    default: throw InvalidInput("type", "expected a known objective, got \(type)")
    }
  }

  private func required<Value>(_ value: Value?, _ field: String) throws -> Value {
    guard let value else { throw InvalidInput(field, "is missing") }
    return value
  }
}

/// A mask as the fixtures write it.
public struct MaskFile: Decodable, Sendable {
  /// `none`, `paper` or `reference-code`.
  public var rule: String
  /// r, or nil with `none`.
  public var threshold: Double?

  /// The mask.
  public func mask() throws -> Mask {
    guard let mask = Mask(rule: rule, threshold: threshold ?? Mask.defaultThreshold) else {
      throw InvalidInput("rule", "expected a known rule, got \(rule)")
    }
    return mask
  }
}
