import RoutingCore

/// A numerical integral that could not be computed to the accuracy asked for.
public struct ToleranceNotReached: Error, Sendable, Equatable, CustomStringConvertible {
  /// What was integrated, for example `gumbel-softmax-st:tau=0.5`.
  public let quantity: String
  /// The relative error asked for.
  public let requested: Double
  /// The bound on the relative error that was reached; infinite if there is none.
  public let reached: Double
  /// The evaluations after which that was seen; nil where they are not counted.
  public let evaluations: Int?

  /// States what was asked and what was reached.
  public init(quantity: String, requested: Double, reached: Double, evaluations: Int? = nil) {
    self.quantity = quantity
    self.requested = requested
    self.reached = reached
    self.evaluations = evaluations
  }

  public var description: String {
    let bound =
      reached < .infinity
      ? "the best error bound is \(reached); ask for a larger one" : "and no error bound holds; sample it instead"
    let spent = evaluations.map { " in \($0) evaluations" } ?? ""
    return "\(quantity): the tolerance \(requested) cannot be reached\(spent), \(bound)"
  }
}

/// Why an integral does not exist.
public enum IntegrationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The estimator is not defined on the problem, or lacks data.
  case unavailable(Unavailable)
  /// The tolerance asked for is out of reach.
  case tolerance(ToleranceNotReached)
  /// The caller called it off.
  case interrupted

  public var description: String {
    switch self {
    case .unavailable(let reason): reason.description
    case .tolerance(let failure): failure.description
    case .interrupted: "called off"
    }
  }
}
