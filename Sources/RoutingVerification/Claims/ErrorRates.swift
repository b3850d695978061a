import RoutingCore

/// How often a verification may be wrong, in both directions.
public struct ErrorRates: Sendable, Equatable {
  /// What a rate may be; smaller ones are not distinguished from 0 in what follows.
  package static let limit = Limit.number(1e-300...0.5)

  /// α: the probability that code without a bias is ever refuted, however often one looks.
  public var falseFail: Double
  /// β: the probability that code with a bias of the detectable size is ever found consistent.
  public var falsePass: Double

  /// States error rates.
  ///
  /// - Precondition: both lie between 0 and 1.
  public init(falseFail: Double = 1e-6, falsePass: Double = 1e-3) {
    precondition(falseFail > 0 && falseFail < 1, "a false-fail rate lies between 0 and 1, got \(falseFail)")
    precondition(falsePass > 0 && falsePass < 1, "a false-pass rate lies between 0 and 1, got \(falsePass)")
    self.falseFail = falseFail
    self.falsePass = falsePass
  }
}
