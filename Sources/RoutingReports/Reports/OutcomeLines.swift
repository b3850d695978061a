import FileFormats
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Every outcome of an estimator on a problem, one JSON line each: what `routegrad outcomes` prints.
package struct OutcomeLines: Sendable {
  private let distribution: OutcomeDistribution
  private let outcomes: [Outcome]

  /// Enumerates.
  ///
  /// - Throws: ``Refusal`` of code `wrongUsage` if there are more than
  ///   ``OutcomeDistribution/enumerationLimit`` outcomes or infinitely many, `wrongData` if the
  ///   estimator is not defined on the problem, lacks data or overflows.
  package init(
    of estimator: any GradientEstimator, on problem: RoutedProblem, location: String
  ) throws(Refusal) {
    let place = "\(location): \(estimator.specification)"
    guard estimator.isEnumerable else {
      throw Refusal(.wrongUsage, "\(place): expected an estimator with finitely many outcomes")
    }
    do {
      distribution = try estimator.finiteOutcomes(on: problem)
    } catch {
      throw Refusal(.wrongData, "\(place): \(error)")
    }
    let limit = OutcomeDistribution.enumerationLimit
    do {
      outcomes = try distribution.enumerated()
    } catch {
      throw Refusal(.wrongUsage, "\(place): \(error)")
    }
    guard outcomes.count <= limit else {
      throw Refusal(.wrongUsage, "\(place): expected at most \(limit) outcomes, got \(outcomes.count)")
    }
    for outcome in outcomes where !distribution.gradient(of: outcome).allSatisfy(\.isFinite) {
      throw Refusal(.wrongData, "\(place): the gradient of choice \(outcome.choice) overflows Float64")
    }
  }

  /// The number of outcomes.
  package var count: Int { outcomes.count }

  /// The lines of some outcomes, each with a line feed at its end.
  ///
  /// - Precondition: `range` lies within `0..<count`.
  package func text(_ range: Range<Int>) -> String {
    range.map { JSONWriter.line(json(outcomes[$0])) + "\n" }.joined()
  }

  private func json(_ outcome: Outcome) -> JSONValue {
    var fields: [JSONValue.Member] = [
      .init(key: "choice", value: JSONValue(outcome.choice)),
      .init(key: "coins", value: JSONValue(outcome.coins)),
      .init(key: "probability", value: .number(outcome.probability)),
    ]
    if let multiplier = outcome.multiplier {
      fields.append(.init(key: "multiplier", value: JSONValue(multiplier)))
    }
    fields.append(.init(key: "gradient", value: JSONValue(distribution.gradient(of: outcome))))
    return .object(fields)
  }
}
